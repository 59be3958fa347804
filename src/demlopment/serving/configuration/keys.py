"""Every key of TorchServe 0.12.0's config.properties, and what becomes of it here. Tables only; properties.py reads them."""

SAME = {
    "model_store": "model_store",
    "load_models": "load_models",
    "default_workers_per_model": "default_workers",
    "job_queue_size": "job_queue_size",
    "default_response_timeout": "response_timeout",
    "default_startup_timeout": "startup_timeout",
    "unregister_model_timeout": "unregister_timeout",
    "max_request_size": "max_request_bytes",
    "max_response_size": "max_response_bytes",
    "enable_model_api": "enable_model_api",
    "enable_metrics_api": "enable_metrics_api",
    "token_expiration_min": "token_minutes",
    "allowed_urls": "allowed_urls",
    "service_envelope": "service_envelope",
    "ts_open_inference_protocol": "open_inference_protocol",
    "cors_allowed_origin": "cors_allowed_origin",
    "cors_allowed_methods": "cors_allowed_methods",
    "cors_allowed_headers": "cors_allowed_headers",
    "install_py_dep_per_model": "install_requirements",
    "blacklist_env_vars": "hidden_variables",
}
OWN = {  # read below, each in its own way
    "inference_address",
    "management_address",
    "metrics_address",
    "certificate_file",
    "private_key_file",
    "disable_token_authorization",
    "metrics_mode",
    "models",
    "model_snapshot",
    "enable_envvars_config",
    "use_env_allowed_urls",
}
FIXED = {  # the only value that says what happens here
    "number_of_gpu": ("0", "networks and handlers run on the CPU"),
    "decode_input_request": ("true", "JSON and text are always decoded for a handler"),
    "limit_max_image_pixels": ("true", "pictures are always limited in size"),
    "enable_grpc_ssl": ("false", "there is no gRPC"),
    "ipex_enable": ("false", "there is no IPEX"),
    "ipex_gpu_enable": ("false", "there is no IPEX"),
    "cpu_launcher_enable": ("false", "workers are started without a launcher"),
    "disable_system_metrics": ("false", "the machine is measured when /metrics is asked for"),
    "model_metrics_auto_detect": ("true", "a handler's metrics need no declaration"),
    "debug": ("false", "there is no debug mode of the server"),
}
JAVA = "there is no Java here"
GRPC = "there is no gRPC"
SEQUENCES = "sequences are not supported"
UNSUPPORTED = {
    "grpc_inference_address": GRPC,
    "grpc_inference_port": GRPC,
    "grpc_inference_max_connection_age_ms": GRPC,
    "grpc_inference_max_connection_age_grace_ms": GRPC,
    "grpc_management_address": GRPC,
    "grpc_management_port": GRPC,
    "grpc_management_max_connection_age_ms": GRPC,
    "grpc_management_max_connection_age_grace_ms": GRPC,
    "number_of_netty_threads": f"{JAVA}; endpoint.processes is the number of serving processes",
    "netty_client_threads": JAVA,
    "vmargs": JAVA,
    "prefer_direct_buffer": JAVA,
    "use_native_io": JAVA,
    "io_ratio": JAVA,
    "async_logging": "logs go to standard error",
    "cpp_log_config": "there is no C++ backend",
    "keystore": "give the key and the certificate as PEM files; openssl pkcs12 takes them out of a keystore",
    "keystore_pass": "see keystore",
    "keystore_type": "see keystore",
    "metrics_config": "a handler's metrics need no declaration, and the server's are fixed",
    "metric_time_interval": "the machine is measured when /metrics is asked for",
    "system_metrics_cmd": "the machine is measured without a command",
    "default_service_handler": "an archive names its handler",
    "model_server_home": "there is no server to find",
    "initial_worker_port": "workers have no ports",
    "initial_distribution_port": "models are not distributed",
    "cpu_launcher_args": "workers are started without a launcher",
    "workflow_store": "workflows are not supported",
    "plugins_path": "plugins are not supported",
    "ts_header_key_sequence_id": SEQUENCES,
    "ts_header_key_sequence_start": SEQUENCES,
    "ts_header_key_sequence_end": SEQUENCES,
    "version": "a snapshot's note of who wrote it",
    "tsConfigFile": "a snapshot's note of where it was read from",
    "python": "handlers run with the Python that runs the endpoint",
}
KEYS = frozenset({*SAME, *OWN, *FIXED, *UNSUPPORTED})

# TorchServe lets a variable override the keys whose constants in its source begin with TS_, by the name of the constant.
NOT_VARIABLES = {  # constants of another name, or none
    "use_native_io",
    "io_ratio",
    "metric_time_interval",
    "enable_envvars_config",
    "model_snapshot",
    "models",
    "version",
    "system_metrics_cmd",
    "use_env_allowed_urls",
    "tsConfigFile",
    "python",
    "vmargs",
    "plugins_path",
}
ODD_VARIABLES = {"token_expiration_min": "TS_TOKEN_EXPIRATION_TIME_MIN"}

# Of each address: its usual port, and what TorchServe takes when a URL names none, with http and with https.
PORTS = {"inference": (8080, 80, 443), "management": (8081, 8081, 8444), "metrics": (8082, 8082, 8445)}
BOOLEANS = {"enable_model_api", "enable_metrics_api", "ts_open_inference_protocol", "install_py_dep_per_model"}
