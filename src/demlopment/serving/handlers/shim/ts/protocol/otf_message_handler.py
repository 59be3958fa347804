"""As TorchServe's module of this name, where streaming handlers once found their function."""

from ts.handler_utils.utils import (  # type: ignore[import-not-found]  # this very package, once it is on the path
    send_intermediate_predict_response as send_intermediate_predict_response,
)
