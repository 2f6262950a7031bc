"""What moto's Lambda lacks or gets wrong."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.core.moto_backends import moto_module


def repair_function_configuration() -> None:
    """Functions forget LoggingConfig, DeadLetterConfig and updated tracing, and lose a package's other settings.

    https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
    """
    function = moto_module("awslambda.models").LambdaFunction
    initialise, describe, update = (
        function.__init__,
        function.get_configuration,
        function.update_configuration,
    )

    def initialise_all(self: Any, account_id: str, spec: dict[str, Any], *rest: Any, **more: Any) -> None:
        initialise(self, account_id, spec, *rest, **more)
        self.dead_letter_config = spec.get("DeadLetterConfig") or {}
        self.logging_config = _logging_config(self.function_name, spec.get("LoggingConfig") or {})
        self.logs_group_name = self.logging_config["LogGroup"]

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        result = describe(self, on_create)
        result["LoggingConfig"] = self.logging_config
        if self.dead_letter_config.get("TargetArn"):
            result["DeadLetterConfig"] = self.dead_letter_config
        return result

    def update_configuration(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
        if "LoggingConfig" in config_updates:
            self.logging_config = _logging_config(self.function_name, config_updates["LoggingConfig"])
            self.logs_group_name = self.logging_config["LogGroup"]
        if "DeadLetterConfig" in config_updates:
            self.dead_letter_config = config_updates["DeadLetterConfig"]
        if "TracingConfig" in config_updates:
            self.tracing_config = config_updates["TracingConfig"]
        if "EphemeralStorage" in config_updates:
            self.ephemeral_storage = config_updates["EphemeralStorage"]["Size"]
        if "KMSKeyArn" in config_updates:
            self.kms_key_arn = config_updates["KMSKeyArn"]
        return update(self, config_updates)

    function.__init__ = initialise_all
    function.get_configuration = get_configuration
    function.update_configuration = update_configuration


def _logging_config(function_name: str, requested: dict[str, Any]) -> dict[str, Any]:
    result = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function_name}", **requested}
    if result["LogFormat"] == "JSON":
        result = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **result}
    return result
