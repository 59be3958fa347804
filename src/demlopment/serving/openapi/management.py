"""The management port, described. Knows its paths and what each answers.

Numbers and truths in a query are texts here: TorchServe takes what it cannot read for the default, or for false.
"""

from demlopment.serving.openapi.pieces import (
    COUNT,
    TEXT,
    Json,
    api_description,
    array,
    errors,
    in_path,
    in_query,
    operation,
    ref,
    response,
)
from demlopment.serving.openapi.schemas import SCHEMAS

MODEL = in_path("model_name", "A registered model")
VERSION = in_path("model_version", "One of its versions")
NUMBER = in_query("number", "Only if the plan in force has this number", {**COUNT, "maximum": 9_999_999_999})
STEERED = {
    "pause": "Let the canary keep its share",
    "resume": "Let it ramp again, from the step where it stood",
    "abort": "Let the control answer everybody, for good",
}


def paths() -> Json:
    return {**api_description("management"), **_all(), **_one(), **_set_default(), **_traffic(), **_kserve(), **_token()}


def _all() -> Json:
    listed = {"200": response("A page of the default versions, by name", ref("ModelList")), **errors()}
    pages = (in_query("limit", "Up to 100", TEXT), in_query("next_page_token", "Of the page before", TEXT))
    values = SCHEMAS["Registration"]["properties"]
    wanted = [in_query(name, f"As in the body: {name}", each if "enum" in each else TEXT) for name, each in values.items()]
    registered = {
        "200": response("Registered, and answering if it has workers", ref("Status")),
        "202": response("Accepted; its workers are being started", ref("Status")),
        **errors("404", "405", "409", "503", "507"),
    }
    body = {
        "description": "Instead of the query; `url` or `upstream` is needed in one of them",
        "required": False,
        "content": {"application/json": {"schema": ref("Registration")}},
    }
    return {
        "/models": {
            "get": operation("list_models", "List the models", listed, parameters=pages),
            "post": operation("register", "Register an archive", registered, parameters=wanted, body=body),
        }
    }


def _one() -> Json:
    customized = in_query("customized", "Ask the handler about itself too", TEXT)
    workers = (
        in_query("min_worker", "Started and kept", TEXT),
        in_query("max_worker", "Not below min_worker", TEXT),
        in_query("synchronous", "Wait until they answer", TEXT),
        in_query("number_gpu", "Ignored", TEXT),
        in_query("timeout", "Ignored", TEXT),
    )
    described = {"200": response("One object for each version that was asked", array(ref("Model"))), **errors("404", "503")}
    scaled = {
        "200": response("Scaled", ref("Status")),
        "202": response("Accepted", ref("Status")),
        **errors("404", "409", "503", "507"),
    }
    forbidden = response("It is the default version, and there are others", ref("Error"))
    gone = {"200": response("Unregistered", ref("Status")), **errors("404", "405", "409", "503"), "403": forbidden}
    options = {"200": response("The paths of this model", {"type": "object"}), **errors("404")}
    named = in_query("model_version", "Instead of the default version", TEXT)
    ways: tuple[tuple[str, str, tuple[Json, ...], tuple[Json, ...]], ...] = (
        ("/models/{model_name}", "model", (MODEL,), (named,)),
        ("/models/{model_name}/{model_version}", "version", (MODEL, VERSION), ()),
    )
    return {
        path: {
            "get": operation(
                f"describe_{name}", "Describe; `all` as version is all", described, parameters=(*where, customized)
            ),
            "put": operation(f"scale_{name}", "Change the workers", scaled, parameters=(*where, *more, *workers)),
            "delete": operation(f"unregister_{name}", "Unregister", gone, parameters=where),
            "options": operation(f"options_{name}", "Describe the paths", options, parameters=where),
        }
        for path, name, where, more in ways
    }


def _set_default() -> Json:
    described = {"200": response("The version", array(ref("Model"))), **errors("404", "503")}
    chosen = {"200": response("It is the default now", ref("Status")), **errors("404", "405", "409", "503")}
    where = (MODEL, VERSION)
    return {
        "/models/{model_name}/{model_version}/set-default": {
            "get": operation("describe_default", "Describe the version", described, parameters=where),
            "put": operation("set_default", "Answer with it where no version is named", chosen, parameters=where),
        }
    }


def _traffic() -> Json:
    plan = response("The plan", ref("TrafficPlan"))
    body = {"required": True, "content": {"application/json": {"schema": ref("NewTrafficPlan")}}}
    failures = errors("404", "405", "409", "503")
    return {
        "/models/{model_name}/traffic": {
            "get": operation("plan", "Show the experiment", {"200": plan, **failures}, parameters=(MODEL,)),
            "put": operation("split", "Put one in force", {"200": plan, **failures}, parameters=(MODEL,), body=body),
            "delete": operation(
                "unsplit", "End it", {"200": response("Ended", ref("Status")), **failures}, parameters=(MODEL,)
            ),
        },
        **{
            f"/models/{{model_name}}/traffic/{command}": {
                "put": operation(f"{command}_canary", text, {"200": plan, **failures}, parameters=(MODEL, NUMBER))
            }
            for command, text in STEERED.items()
        },
    }


def _kserve() -> Json:
    found = {"200": response("Whether it has workers", ref("ModelReady")), **errors("404", "405")}
    return {"/v1/models/{model_name}": {"get": operation("kserve_ready", "KServe's readiness", found, parameters=(MODEL,))}}


def _token() -> Json:
    kind = in_query("type", "Which key", {"type": "string", "enum": ["inference", "management"]}, required=True)
    found = {"200": response("Changed; the key file says the new one"), **errors("404")}
    return {"/token": {"get": operation("rotate", "Change a key, with the API key", found, parameters=(kind,))}}
