"""A handler as most are written: three steps in a subclass of TorchServe's own class."""

from typing import Any

from ts.torch_handler.base_handler import (  # type: ignore[import-not-found,unused-ignore]  # TorchServe's, or what stands in for it
    BaseHandler,
)


class Based(BaseHandler):  # type: ignore[misc,unused-ignore]  # untyped there
    def initialize(self, context: Any) -> None:
        self.model = str.upper
        self.initialized = True

    def preprocess(self, data: list[dict[str, Any]]) -> list[str]:
        return [bytes(row.get("data") or row.get("body") or b"").decode() for row in data]

    def inference(self, data: list[str], *args: Any, **kwargs: Any) -> list[str]:
        return [self.model(text) for text in data]

    def postprocess(self, data: list[str]) -> list[dict[str, Any]]:
        return [{"said": text, "words": len(text.split())} for text in data]

    def explain_handle(self, data_preprocess: list[str], raw_data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"because": text} for text in data_preprocess]

    def describe_handle(self) -> dict[str, Any]:
        return {"about": "upper case"}
