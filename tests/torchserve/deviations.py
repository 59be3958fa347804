"""Where we answer otherwise than TorchServe on purpose, one by one. Rows of the table refer to these by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One decision. `lasting` says why `strict` does not restore TorchServe's answer; without it, it does.

    `elsewhere` names what tests it where no row of the table can.
    """

    upstream: str
    ours: str
    why: str
    lasting: str = ""
    elsewhere: str = ""

    @property
    def restored(self) -> bool:
        return not self.lasting


DEVIATIONS: dict[str, Deviation] = {
    "zombie": Deviation(
        "A version that could not be started stays registered, so the next attempt is a 409.",
        "Nothing is left of it.",
        "Whoever mends the archive must be able to try again.",
    ),
    "reason": Deviation(
        "`Failed to start workers for model m version: v` and not a word more.",
        "The same sentence, then the reason.",
        "The most asked question about TorchServe is why a worker did not start.",
    ),
    "batch": Deviation(
        "One request that makes a handler raise fails every request of its batch.",
        "The batch is tried again one by one, so only that request fails.",
        "The clients of the others did nothing wrong.",
    ),
    "queue-full": Deviation(
        "A full queue is answered with the words for a model without workers.",
        "503 with words of its own and Retry-After.",
        "A client can wait for a queue, and cannot wait for workers that nobody started.",
    ),
    "bad-input": Deviation(
        "What a handler cannot read is `503 Prediction failed`.",
        "400, saying what is wrong with which input.",
        "A client that repeats a 5xx repeats it for ever here.",
    ),
    "last-page": Deviation(
        "A last page that is exactly full has a nextPageToken, which leads to an empty page.",
        "Only a page with a successor has one.",
        "A token says that there is more.",
    ),
    "json-delay": Deviation(
        "A registration as JSON without max_batch_delay gets -10000 ms.",
        "100 ms, as in a query.",
        "A slip of the upstream parser.",
    ),
    "request-id": Deviation(
        "The client's X-Request-Id is ignored.",
        "It is the id of the answer, of the journal and of the feedback.",
        "Whoever traces a request must be able to name it.",
    ),
    "health": Deviation(
        "With tokens on, /ping needs one.",
        "/ping and /ready are open, see endpoint.open_health.",
        "An orchestrator's probe has no rotating key.",
    ),
    "names": Deviation(
        "A model may have any name, also one that no path can reach.",
        "400 for a name that torch-model-archiver would refuse.",
        "Such a model can be registered and never again be reached or unregistered.",
        lasting="A model that cannot be unregistered is of no use to anybody.",
    ),
    "unreadable": Deviation(
        "A file that is no archive can be registered under a name; only its workers fail.",
        "400 that names the file.",
        "The client learns it while it still knows what it did.",
        lasting="We have to open an archive to know what runs it.",
    ),
    "broken-archive": Deviation(
        "An archive that cannot be unpacked is a 500, and a file that is no zip has no model name.",
        "400 that names the file and what is wrong with it.",
        "The archive is wrong, not the server.",
    ),
    "urls": Deviation(
        "Any http, https and file URL is fetched, or tried.",
        "404 in TorchServe's words for a URL that is not allowed, unless endpoint.allowed_urls names it.",
        "CVE-2023-43654: whoever reaches the management port chooses what the server fetches and runs.",
        lasting="A flag about wording must not open the server.",
    ),
    "java": Deviation(
        "Malformed JSON and numbers out of range are a 500 with the words of Java's libraries.",
        "400 that says what is wrong.",
        "Nobody can act upon the name of a Java class.",
        lasting="The words come from Gson and the JVM, and change with them.",
    ),
    "broken-form": Deviation(
        "What is no multipart form although its type says so, a handler is asked about without any input.",
        "400. Of a form that only breaks off, the whole parts are handed on, as upstream.",
        "Nothing would be answered as if it were something.",
        lasting="What counts as a form depends on Netty's parser.",
        elsewhere="tests/serving/test_forms.py",
    ),
    "words-for-numbers": Deviation(
        "In JSON, a word where a number is due is a 500; in a query it is the default.",
        "It is the default in both.",
        "One rule for both forms.",
        lasting="See `java`.",
    ),
    "bearer": Deviation(
        "`bearer` in lower case is refused.",
        "It is accepted.",
        "RFC 9110: the names of authentication schemes have no case.",
        lasting="No client relies on being refused.",
    ),
    "only-model": Deviation(
        "/invocations without a name asks the only model that was loaded at startup, and is refused where there is none.",
        "It asks the only registered model.",
        "What was registered is there after a restart too, so being loaded at startup says nothing.",
        lasting="The same.",
    ),
    "workflows": Deviation(
        "Workflows can be registered, listed and asked.",
        "Their paths do not exist.",
        "Hardly anybody used them, and upstream skips its own tests of them.",
        lasting="They are not implemented.",
    ),
    "scaling": Deviation(
        "A second attempt to start workers that failed is `206 Workers scaling in progress...`.",
        "It fails as the first one did.",
        "Nothing is in progress.",
        lasting="It depends on how far TorchServe's clean-up has come.",
    ),
    "open-inference-protocol": Deviation(
        "Of the Open Inference Protocol there are health, its name, and infer without versions.",
        "All of it: metadata and readiness of models, versions, and errors in its own form.",
        "It is what the clients of KServe, Seldon and Triton speak.",
    ),
    "header-names": Deviation(
        "A handler sees the names of headers as the client spelt them.",
        "In lower case, and get_request_header finds them by any spelling.",
        "HTTP/2 has no others, and a handler that asks for one spelling works with one client only.",
        lasting="ASGI hands them on in lower case.",
    ),
    "description": Deviation(
        "The API description has TorchServe's title, lists GET /metrics on every port and has no schemas of errors.",
        "Its own title, and what each port answers.",
        "A description is for whoever generates a client or a test from it.",
    ),
    "explanations": Deviation(
        "Our own archives answer an explanation with the label: the handler inside knows nothing else.",
        "The part of each pixel in the answer, as JSON.",
        "It is what the path is for.",
    ),
    "closing": Deviation(
        "A 413 does not say whether the connection stays.",
        "`connection: close`.",
        "The rest of the body may still be on its way, so it cannot stay.",
        lasting="A client that sent too much must know that it has to connect again.",
    ),
    "statuses": Deviation(
        "A handler's status is sent as it is, also 100 or 999, and a 304 with the length of the body that it does not have.",
        "What is not between 200 and 599 is a 500 that names it, and a 304 says no length.",
        "After a 1xx a client waits for the answer behind it, and takes the next one for its own.",
        lasting="A client that has lost step reads other people's answers.",
        elsewhere="tests/serving/test_foreign.py and handlers/test_worker.py",
    ),
    "phrase": Deviation(
        "Predictions have an empty reason phrase, or the handler's.",
        "The handler's if it has one, otherwise the standard phrase of the status.",
        "HTTP/2 has none, and RFC 9110 tells clients to ignore it.",
        elsewhere="nothing: no client may look at it",
    ),
    "waiting": Deviation(
        "A lone request waits max_batch_delay for others.",
        "A free worker takes what is there.",
        "Waiting for nobody only costs time.",
        elsewhere="tests/serving/handlers, by the time on a clock that stands still",
    ),
    "draining": Deviation(
        "Scaling down, unregistering and SIGTERM drop requests in hand.",
        "They are answered first.",
        "An answer that was promised is given.",
        elsewhere="tests/serving/test_faults.py and http/test_server.py",
    ),
    "metrics-mode": Deviation(
        "The metrics port is empty unless metrics_mode says prometheus.",
        "It always answers in Prometheus' format.",
        "The most asked question about its metrics.",
        lasting="An empty page is of no use to anybody.",
        elsewhere="tests/serving/test_metrics.py",
    ),
    "environment": Deviation(
        "A handler sees every variable of the server's environment but those that blacklist_env_vars matches.",
        "Those that libraries need and those that begin with TS_; endpoint.handler_env names others. HOME is the worker's own.",
        "A server's environment is where its secrets are, and a handler is often somebody else's program.",
        elsewhere="tests/serving/handlers/test_environment.py",
    ),
    "handler-metrics": Deviation(
        "A handler's metrics have its dimensions as labels, and are dropped unless they are declared or detected.",
        "The labels model_name and model_version besides, at most 200 series of a version, and no declaration.",
        "Two versions in a split are to be told apart, and a metric that nobody declared was meant to be seen.",
        lasting="It restores the labels alone.",
        elsewhere="tests/serving/test_measured.py",
    ),
    "numbers": Deviation(
        "initial_workers below 0 are none, and any batch_size and max_batch_delay is taken.",
        "400 that names the number.",
        "A typing error that is stored is found much later.",
        elsewhere="tests/serving/test_registration.py",
    ),
    "negative-time": Deviation(
        "A negative response_timeout or startup_timeout is taken.",
        "It is the default.",
        "TorchServe's own clients send -1 for the default.",
        lasting="No answer can be in time.",
        elsewhere="tests/serving/test_registration.py",
    ),
    "worker-cap": Deviation(
        "Any number of workers is started.",
        "400 for initial_workers, min_worker or max_worker above 256.",
        "A typing error must not start a thousand processes.",
        lasting="The machine must survive it in either mode.",
        elsewhere="tests/serving/test_management.py",
    ),
    "config-file": Deviation(
        "A broken model-config.yaml is a worker that cannot be started, or a 500 with the name of a Java class.",
        "400 that says what is wrong.",
        "The archive is wrong, not the server.",
        lasting="See `java`.",
        elsewhere="tests/serving/handlers/test_manifest.py",
    ),
    "initialize": Deviation(
        "A handler class without initialize cannot be started.",
        "It is served.",
        "It has nothing to initialize.",
        lasting="Nobody relies on being refused.",
        elsewhere="tests/serving/handlers/test_worker.py",
    ),
    "absolute-member": Deviation(
        "A member whose name begins with a slash is unpacked below the archive's folder.",
        "400 that names it.",
        "Whoever wrote it meant another place.",
        lasting="Other tools would write there.",
        elsewhere="tests/serving/handlers/test_members.py",
    ),
    "file-in-store": Deviation(
        "A file:// URL of a file in the model store is a 500, because the file exists.",
        "It is registered.",
        "It is where it should be.",
        elsewhere="tests/serving/test_registration.py",
    ),
    "folder-copied": Deviation(
        "A folder in the model store is linked, so whoever changes it changes what runs.",
        "It is copied when it is registered, and at each start.",
        "What runs is what was checked.",
        lasting="What was not checked must not run.",
        elsewhere="tests/serving/test_archives.py",
    ),
    "top-folder": Deviation(
        "A .tar.gz whose members do not lie below one folder is not understood.",
        "It is, as a zip is.",
        "Nothing is ambiguous about it.",
        lasting="Nobody relies on being refused.",
        elsewhere="tests/serving/handlers/test_packing.py",
    ),
    "loopback": Deviation(
        "Tokens are on unless they are switched off.",
        "They are on where others than this machine can reach the ports.",
        "They broke every tutorial on the day they came.",
        elsewhere="tests/serving/test_tokens.py",
    ),
}
