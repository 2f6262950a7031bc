"""What the child executions of a Map Run leave behind: files in S3, or the output of the state
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html).
"""

import json
import tempfile
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl.state_context import PAYLOAD_BYTES, byte_length, iso_time, json_text
from scripts.local_aws.stepfunctions.executions import Execution

FAILED = "States.ResultWriterFailed"
RESULT_FILE_BYTES = 5 * 1024**3
# A larger file goes to disk.
BYTES_IN_MEMORY = 1024**2
GROUPS = ("FAILED", "PENDING", "SUCCEEDED")


class ResultFile:
    """JSON values one after the other, as an array or as lines."""

    def __init__(self, as_lines: bool) -> None:
        self.size = 0
        self._content = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - close() closes it
        self._between, self._end = (b"\n", b"\n") if as_lines else (b",", b"]")
        self._next = b"" if as_lines else b"["

    def add(self, text: str) -> None:
        self._write(self._next + text.encode(errors="surrogatepass"))
        self._next = self._between

    def finished(self) -> Any:
        """The whole file, to be read from its start."""
        self._write(self._end)
        self._content.seek(0)
        return self._content

    def close(self) -> None:
        self._content.close()

    def _write(self, text: bytes) -> None:
        self._content.write(text)
        self.size += len(text)


class Results:
    """The results of one Map Run, in the form that its ResultWriter asks for.

    Args:
        writer: the evaluated ResultWriter; without a `Resource` the results are the output of the state.
        map_run_arn: of the Map Run, whose last part names the folder in S3.
    """

    def __init__(self, writer: dict[str, Any], map_run_arn: str) -> None:
        self.exported = "Resource" in writer
        config = writer.get("WriterConfig", {})
        self._transformation = config.get("Transformation", "NONE" if self.exported else "COMPACT")
        self._as_lines = config.get("OutputType") == "JSONL"
        self._location: dict[str, str] = writer.get("Arguments", {})
        self._map_run_arn = map_run_arn
        self._files: dict[str, list[ResultFile]] = {group: [] for group in GROUPS}
        self._listed: list[tuple[int, list[str]]] = []
        self._listed_bytes = 0

    def add(self, number: int, child: Execution) -> None:
        """The result of a child that has ended; `number` is its place among all children."""
        texts = self._texts(child)
        if not self.exported:
            self._list(number, texts)
        for text in texts if self.exported else ():
            self._write("SUCCEEDED" if child.outcome.status == "SUCCEEDED" else "FAILED", text)

    def add_pending(self, text: str) -> None:
        """The input of a child that never started."""
        self._write(
            "PENDING", json_text({"Input": text, "InputDetails": {"Included": True}, "Status": "PENDING"})
        )

    def output(self) -> list[Any]:
        """The results in the order of the items."""
        return [json.loads(text) for _, texts in sorted(self._listed) for text in texts]

    def upload(self, s3: Any) -> dict[str, Any]:
        """Writes the files and their manifest; returns the output of the state.

        Raises StatesError States.ResultWriterFailed.
        """
        bucket, prefix = self._location.get("Bucket"), self._location.get("Prefix", "")
        folder = (
            f"{prefix}{'/' if prefix and not prefix.endswith('/') else ''}{self._map_run_arn.split(':')[-1]}"
        )
        ending = "jsonl" if self._as_lines else "json"
        try:
            listed = {}
            for group, files in self._files.items():
                keys = [f"{folder}/{group}_{number}.{ending}" for number in range(len(files))]
                for key, file in zip(keys, files, strict=True):
                    s3.put_object(Bucket=bucket, Key=key, Body=file.finished())
                sizes = [file.size for file in files]
                listed[group] = [{"Key": key, "Size": size} for key, size in zip(keys, sizes, strict=True)]
            manifest = {"DestinationBucket": bucket, "MapRunArn": self._map_run_arn, "ResultFiles": listed}
            key = f"{folder}/manifest.json"
            s3.put_object(Bucket=bucket, Key=key, Body=json_text(manifest).encode())
        except (ClientError, BotoCoreError) as error:
            raise StatesError(FAILED, f"{error} (Service: S3)") from error
        return {"MapRunArn": self._map_run_arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}

    def close(self) -> None:
        """Gives up files and memory."""
        for files in self._files.values():
            for file in files:
                file.close()
        self._listed = []

    def _texts(self, child: Execution) -> list[str]:
        output = child.outcome.output
        if output is None or self._transformation == "NONE":
            return [json_text(_record(child))]
        if self._transformation == "FLATTEN" and output.startswith("["):
            return [json_text(element) for element in json.loads(output)]
        return [output]

    def _list(self, number: int, texts: list[str]) -> None:
        # What is too large to be the output of a state need not be kept: that it is too large is enough.
        if self._listed_bytes <= PAYLOAD_BYTES:
            self._listed.append((number, texts))
            self._listed_bytes += sum(map(byte_length, texts))

    def _write(self, group: str, text: str) -> None:
        files = self._files[group]
        if not files or files[-1].size + byte_length(text) + 2 > RESULT_FILE_BYTES:
            files.append(ResultFile(self._as_lines))
        files[-1].add(text)


def _record(child: Execution) -> dict[str, Any]:
    status, stop, output, error, cause = child.outcome
    redrivable = status != "SUCCEEDED"
    record = {
        "Cause": cause,
        "Error": error,
        "ExecutionArn": child.arn,
        "Input": child.input,
        "InputDetails": {"Included": True},
        "Name": child.name,
        "Output": output,
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "REDRIVABLE_BY_MAP_RUN" if redrivable else "NOT_REDRIVABLE",
        "RedriveStatusReason": None if redrivable else "Execution is SUCCEEDED and cannot be redriven",
        "StartDate": _time(child.start),
        "StateMachineArn": child.origin.machine.arn,
        "Status": status,
        "StopDate": _time(stop or child.start),
    }
    return {name: value for name, value in record.items() if value is not None}


def _time(seconds: float) -> str:
    return iso_time(datetime.fromtimestamp(seconds, UTC))
