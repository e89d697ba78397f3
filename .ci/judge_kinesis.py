"""One list of Kinesis calls, three services: `judge_kinesis.py ANSWERS KINESALITE`.

ANSWERS is what the simulated account answers to `tests/conformance/kinesis_calls.json`: the suite `kinesis_calls` writes
it. KINESALITE is the folder with `node_modules/kinesalite`. Both moto and kinesalite are asked the same; status, error type
and the values of the answers are compared, and kinesalite's texts of errors, which were recorded from AWS; moto's are its
own. Every difference stands in `tests/conformance/kinesis_differences.json` with who is right and by which source: one that
is not there fails, and so does one that is there and does not occur.
"""

import base64
import http.client
import json
import logging
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "conformance"
REGION, ACCOUNT = "eu-west-1", "123456789012"
# How long kinesalite takes for what a call begins, in ms.
TRANSITION_MS = 1000
# How long a service may take to settle, in s.
PATIENCE_S = 60


class Service:
    """A service that is asked over HTTP."""

    def __init__(self, name, host, port):
        self.name, self.host, self.port = name, host, port
        self.answers = {}

    def filled(self, value):
        if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
            identity, *path = value[2:-1].split(".")
            found = self.answers.get(identity)
            for part in path:
                found = found.get(part) if isinstance(found, dict) else None
            return found
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            if "$x" in value:
                return "x" * value["$x"]
            if "$base64" in value:
                return base64.b64encode(bytes(value["$base64"])).decode()
            if "$repeat" in value:
                return [self.filled(value["$repeat"][1])] * value["$repeat"][0]
            return {name: self.filled(item) for name, item in value.items()}
        return value

    def call(self, call):
        status, answer = self.ask(call["op"], self.filled(call["in"]))
        self.answers[call["id"]] = answer
        if call.get("settle"):
            self.settle()
        return status, answer

    def settle(self):
        """Waits until no stream is being created, changed or deleted."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            _, streams = self.ask("ListStreams", {"Limit": 100})
            summaries = [self.ask("DescribeStreamSummary", {"StreamName": name}) for name in streams["StreamNames"]]
            found = {body["StreamDescriptionSummary"]["StreamStatus"] for status, body in summaries if status == 200}
            if found <= {"ACTIVE"}:
                return
            time.sleep(0.1)
        sys.exit(f"{self.name} does not settle")

    def ask(self, operation, body):
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"Kinesis_20131202.{operation}",
        }
        body = json.dumps(body)
        request = AWSRequest("POST", f"http://{self.host}:{self.port}/", headers, body.encode())
        SigV4Auth(Credentials("testing", "testing"), "kinesis", REGION).add_auth(request)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request("POST", "/", body.encode(), dict(request.headers))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        try:
            answer = json.loads(text) if text.strip() else None
        except ValueError:
            answer = {"__type": "NoJson", "message": "an answer that is no JSON"}
        return response.status, answer


NORMAL = {
    "ShardIterator": "<iterator>",
    "NextShardIterator": "<iterator>",
    "NextToken": "<token>",
}


def normal(value, key=""):
    """A value without what differs from run to run."""
    if isinstance(value, dict):
        return {name: normal(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [normal(item, key) for item in value]
    if key.endswith("SequenceNumber") and isinstance(value, str):
        return "<sequence of 56>" if re.fullmatch(r"49\d{54}", value) else f"<sequence of {len(value)}>"
    if key.endswith("Timestamp") and isinstance(value, (int, float)):
        return "<time>"
    if key == "MillisBehindLatest" and isinstance(value, (int, float)):
        return "<0>" if value == 0 else "<more>"
    if key in NORMAL and isinstance(value, str):
        return NORMAL[key]
    if key == "ConsumerARN":
        return re.sub(r":\d+$", ":<time>", str(value))
    return value


def differences(ours, theirs, path=""):
    """Where two values differ: (path, what)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            at = f"{path}.{name}"
            if name not in theirs:
                yield f"{at}: only ours"
            elif name not in ours:
                yield f"{at}: only theirs"
            else:
                yield from differences(ours[name], theirs[name], at)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path}: {len(ours)} of ours, {len(theirs)} of theirs"
        for index, (our, their) in enumerate(zip(ours, theirs)):
            yield from differences(our, their, f"{path}.{index}")
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)} is ours, {json.dumps(theirs)} theirs"


def compared(service, ours, theirs):
    """What differs between two answers."""
    (our_status, our_body), (their_status, their_body) = ours, theirs
    if our_status != their_status:
        yield f"status: {our_status} is ours, {their_status} theirs"
        return
    if our_status == 200:
        yield from differences(normal(our_body or {}), normal(their_body or {}))
        return
    kind = lambda body: str((body or {}).get("__type", "")).split("#")[-1]
    if kind(our_body) != kind(their_body):
        yield f"error: {kind(our_body)} is ours, {kind(their_body)} theirs"
    elif service == "kinesalite":
        said = lambda body: body.get("message", body.get("Message")) or ""
        text = lambda body: re.sub(r"currentTimestampInMillis: \d+", "<now>", said(body))
        # The order in which AWS tells several broken constraints is not known.
        parts = lambda body: sorted(re.split(r"; |detected: ", text(body)))
        if kind(our_body) != "SerializationException" and parts(our_body) != parts(their_body):
            yield f"text: {text(our_body)!r} is ours, {text(their_body)!r} theirs"


class Explained:
    """The table of differences."""

    def __init__(self):
        self.rows = json.loads((FOLDER / "kinesis_differences.json").read_text())
        for row in self.rows:
            assert row["right"] in {"ours", "theirs", "neither", "unknown", "both"}, row
            assert row["why"] and row["source"], row
        self.used = set()

    def explains(self, service, call, what):
        for number, row in enumerate(self.rows):
            if row["service"] == service and call in row["calls"] and re.search(row["differs"], what):
                self.used.add((number, call))
                return True
        return False

    def idle(self):
        """Rows of which a call no longer differs so."""
        for number, row in enumerate(self.rows):
            for call in row["calls"]:
                if (number, call) not in self.used:
                    yield f"{row['service']} {call}: no difference {row['differs']!r}"


def kinesalite(folder):
    program = pathlib.Path(folder) / "node_modules" / "kinesalite" / "cli.js"
    times = [f"--{what}StreamMs={TRANSITION_MS}" for what in ("create", "delete", "update")]
    # A port of its own choice is not told: one that is free now is given.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"AWS_ACCOUNT_ID": ACCOUNT, "AWS_REGION": REGION, "PATH": os.environ["PATH"]}
    command = ["node", str(program), f"--port={port}", "--shardLimit=20000", *times]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server, port
        except OSError:
            time.sleep(0.1)
    server.kill()
    sys.exit("kinesalite does not answer")


def main(answers, folder):
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    calls = json.loads((FOLDER / "kinesis_calls.json").read_text())
    answered = json.loads(pathlib.Path(answers).read_text())
    ours = {answer["id"]: (answer["status"], answer["body"]) for answer in answered}
    assert [call["id"] for call in calls] == list(ours), "the answers are those of another list: run the suite again"
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    server, port = kinesalite(folder)
    try:
        moto_host, moto_port = moto.get_host_and_port()
        services = [Service("moto", moto_host, moto_port), Service("kinesalite", "127.0.0.1", port)]
        explained, unexplained, count = Explained(), [], 0
        for service in services:
            for call in calls:
                for what in compared(service.name, ours[call["id"]], service.call(call)):
                    count += 1
                    if not explained.explains(service.name, call["id"], what):
                        unexplained.append(f"{service.name} {call['id']} ({call['op']}): {what}")
    finally:
        server.terminate()
        moto.stop()
    idle = list(explained.idle())
    for line in unexplained:
        print(f"not explained: {line}")
    for line in idle:
        print(f"explained, and does not occur: {line}")
    if unexplained or idle:
        sys.exit(f"{len(unexplained)} differences are not explained, {len(idle)} explanations are idle")
    print(f"{len(calls)} calls, {count} differences to moto and kinesalite, all explained by {len(explained.rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
