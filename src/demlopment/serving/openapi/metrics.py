"""The metrics port, described. Knows its paths and what each answers."""

from demlopment.serving.openapi.pieces import TEXT, Json, api_description, array, errors, in_query, operation, response


def paths() -> Json:
    chosen = in_query("name[]", "Only the families of these names", array(TEXT))
    found = {"200": response("Prometheus' exposition text", TEXT, "text/plain; version=0.0.4; charset=utf-8"), **errors()}
    return {
        **api_description("metrics"),
        "/metrics": {"get": operation("metrics", "What was counted", found, parameters=(chosen,))},
    }
