"""The class that most of TorchServe's handlers extend: preprocess, infer, postprocess. Knows no process and no line.

The names are TorchServe's, because subclasses override and call them. Torch is imported by the method that needs it, so a
handler that brings its own does without.
"""

import importlib
import json
import logging
import os
import time
from functools import wraps
from pathlib import Path
from typing import Any

from demlopment.serving.handlers.loader import classes_of

logger = logging.getLogger(__name__)


def timed(method: Any) -> Any:
    """Note how long a step took, in ms, if the model-config.yaml says `handler: {profile: true}`."""

    @wraps(method)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = getattr(self.context, "model_yaml_config", None) or {}
        started = time.perf_counter()
        result = method(self, *args, **kwargs)
        if (config.get("handler") or {}).get("profile"):
            self.context.metrics.add_time(f"ts_handler_{method.__name__}", 1000 * (time.perf_counter() - started))
        return result

    return measured


class BaseHandler:
    """Loads what an archive holds (a class with weights, TorchScript, ONNX) and answers with the network's numbers."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: dict[str, str] | None = None
        self.device: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: Any = None
        self.map_location: str | None = None
        self.explain = False
        self.target = 0
        self.model_yaml_config: dict[str, Any] = {}

    def initialize(self, context: Any) -> None:
        """Load the network. Raises RuntimeError for an archive that holds none we know."""
        self.model_yaml_config = context.model_yaml_config or {}
        self.manifest = context.manifest
        folder = context.system_properties["model_dir"]
        model = self.manifest["model"]
        if "serializedFile" in model:
            self.model_pt_path = os.path.join(folder, model["serializedFile"])  # noqa: PTH118  # handlers expect text
        if model.get("modelFile") or not (self.model_pt_path or "").endswith(".onnx"):  # which does without torch
            self.map_location, self.device = _device(context.system_properties.get("gpu_id"))
        if model.get("modelFile"):
            self.model = self._load_pickled_model(folder, model["modelFile"], self.model_pt_path)
            self.model.to(self.device)
            self.model.eval()
        elif (self.model_pt_path or "").endswith(".pt"):
            self.model = self._load_torchscript_model(self.model_pt_path)
            self.model.eval()
        elif (self.model_pt_path or "").endswith(".onnx"):
            self.model = _session(self.model_pt_path)
        else:
            raise RuntimeError("No model weights could be loaded")
        if "pt2" in self.model_yaml_config:
            logger.warning("The model-config.yaml asks for torch.compile (pt2), which is not done here.")
        self.mapping = load_label_mapping(os.path.join(folder, "index_to_name.json"))  # noqa: PTH118  # as above
        self.initialized = True

    def preprocess(self, data: Any) -> Any:
        import torch

        return torch.as_tensor(data, device=self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    def postprocess(self, data: Any) -> Any:
        return data.tolist()

    def handle(self, data: Any, context: Any) -> Any:
        """One batch, from rows to a list with an answer for each."""
        started = time.perf_counter()
        self.context = context
        if self._is_describe():
            output = [self.describe_handle()]
        else:
            prepared = self.preprocess(data)
            output = self.explain_handle(prepared, data) if self._is_explain() else self._answer(prepared)
        context.metrics.add_time("HandlerTime", round(1000 * (time.perf_counter() - started), 2), None, "ms")
        return output

    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any:
        """What `get_insights`, which a subclass has, says of the first row and its `target`."""
        row = raw_data[0]
        inputs, target = None, 0
        if isinstance(row, dict):
            inputs, target = row.get("data") or row.get("body"), row.get("target") or 0
        return self.get_insights(data_preprocess, inputs, target)  # type: ignore[attr-defined]  # of the subclass

    def describe_handle(self) -> Any:
        """What a customized description adds."""
        return None

    def get_device(self) -> Any:
        return self.device

    def _answer(self, prepared: Any) -> Any:
        return self.postprocess(self.inference(prepared))

    def _is_explain(self) -> bool:
        self.explain = self._says("explain") or self.explain
        return self._says("explain")

    def _is_describe(self) -> bool:
        return self._says("describe")

    def _says(self, header: str) -> bool:
        return bool(self.context) and self.context.get_request_header(0, header) == "True"

    def _load_torchscript_model(self, model_pt_path: Any) -> Any:
        import torch

        return torch.jit.load(model_pt_path, map_location=self.device)  # type: ignore[no-untyped-call]  # torch has no types here

    def _load_pickled_model(self, model_dir: Any, model_file: str, model_pt_path: Any) -> Any:
        import torch

        if not (Path(model_dir) / model_file).is_file():
            raise RuntimeError("Missing the model.py file")
        classes = classes_of(importlib.import_module(model_file.split(".", maxsplit=1)[0]))
        if len(classes) != 1:
            raise ValueError(f"Expected only one class as model definition. {classes}")
        model = classes[0]()
        if model_pt_path:
            model.load_state_dict(torch.load(model_pt_path, map_location=self.device, weights_only=True))
        return model


def load_label_mapping(path: Any) -> dict[str, str] | None:
    """Class index -> name from an index_to_name.json, or None if there is no such file; lists give their last name."""
    if not Path(path).is_file():
        logger.warning("%s is missing, so answers carry no class names.", path)
        return None
    mapping = json.loads(Path(path).read_bytes())
    if not isinstance(mapping, dict):
        raise TypeError(f"{path} is not a JSON object of class index and name.")
    if isinstance(mapping.get("object_type_names"), list):
        return {str(index): name for index, name in enumerate(mapping["object_type_names"])}
    return {index: name[-1] if isinstance(name, list) else name for index, name in mapping.items()}


def map_class_to_label(probs: Any, mapping: Any = None, lbl_classes: Any = None) -> list[dict[str, Any]]:
    """One dictionary a row, from the name of each class, or its number, to its probability."""
    classes = lbl_classes if lbl_classes is not None else [range(len(row)) for row in probs]
    return [
        {mapping[str(each)] if mapping is not None else str(each): probability for each, probability in zip(*row, strict=True)}
        for row in zip(classes, probs, strict=True)
    ]


def _device(gpu: Any) -> tuple[str, Any]:
    import torch

    place = "cuda" if gpu is not None and torch.cuda.is_available() else "cpu"
    return place, torch.device(f"{place}:{gpu}" if place == "cuda" else place)


def _session(path: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
