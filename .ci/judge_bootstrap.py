"""The packaged bootstrap serves Lambda's Runtime API over real HTTP: `judge_bootstrap.py ZIP FOLDER`.

A small server plays the Runtime API; moto plays DynamoDB, Kinesis and S3.
"""

import base64
import json
import logging
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
TABLE, STREAM, BUCKET = "directory", "enriched", "quarantine"
NEXT = "/2018-06-01/runtime/invocation/next"


class RuntimeApi:
    """Lambda's Runtime API for one execution environment."""

    def __init__(self):
        self.events, self.answers = queue.Queue(), queue.Queue()
        self.ids = 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path != NEXT:
                    return self.reply(404, b"{}")
                request_id, event, deadline_ms = api.events.get()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:f")
                self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = self.chunks()
                request_id, kind = self.path.split("/")[-2:]
                api.answers.put((request_id, kind, json.loads(body)))
                self.reply(202, b"{}")

            def chunks(self):
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # A process that is ended leaves its connection: that is no error of this server.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def invoke(self, event, time_s=30):
        """Hands an event to the function. Answers what it posted: where to, and what."""
        self.ids += 1
        request_id = f"8476a536-e9f4-11e8-9739-{self.ids:012}"
        deadline_ms = int((time.time() + time_s) * 1000)
        self.events.put((request_id, json.dumps(event).encode(), deadline_ms))
        answered, kind, body = self.answers.get(timeout=time_s + 30)
        assert answered == request_id, f"the answer is for {answered}"
        return kind, body


def record(number, payload):
    data = base64.b64encode(json.dumps(payload).encode()).decode()
    kinesis = {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "k",
        "sequenceNumber": str(1000 + number),
        "data": data,
        "approximateArrivalTimestamp": 1772323200.1,
    }
    return {
        "kinesis": kinesis,
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000003:{1000 + number}",
        "eventName": "aws:kinesis:record",
        "awsRegion": REGION,
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/r",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/raw",
    }


def reading(device, seq, age_s=0):
    now = int(time.time() * 1000)
    metrics = {"temp": 212.0}
    return {"seq": seq, "ts": now, "metrics": metrics, "tenant_id": "acme", "device_id": device, "received_at": now - age_s * 1000}


def batch(*readings):
    return {"Records": [record(number, one) for number, one in enumerate(readings)]}


class Judge:
    def __init__(self, package, folder, endpoint):
        self.endpoint = endpoint
        self.folder = pathlib.Path(folder)
        self.bootstrap = self.unpack(package)
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.client = lambda name: boto3.client(name, region_name=REGION, endpoint_url=endpoint, **keys)

    def unpack(self, package):
        """Unpacks as Lambda does: the mode of each entry counts."""
        with zipfile.ZipFile(package) as archive:
            (entry,) = archive.infolist()
            assert entry.filename == "bootstrap", entry.filename
            assert entry.external_attr >> 16 & 0o777 == 0o755, oct(entry.external_attr >> 16)
            path = pathlib.Path(archive.extract(entry, self.folder / "var-task"))
        path.chmod(entry.external_attr >> 16 & 0o777)
        return path

    def start(self, api, handler, **variables):
        environment = {
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
            "_HANDLER": handler,
            "LAMBDA_TASK_ROOT": str(self.bootstrap.parent),
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
            "AWS_ENDPOINT_URL": self.endpoint,
            **variables,
        }
        # Lambda starts the program in the folder of the package, without arguments.
        log = open(self.folder / f"{handler}.log", "w")
        return subprocess.Popen([self.bootstrap], env=environment, cwd=self.bootstrap.parent, stdout=log, stderr=log)

    def prepare(self):
        dynamodb, kinesis, s3 = map(self.client, ("dynamodb", "kinesis", "s3"))
        key = "device_key"
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        units = {"M": {"temp": {"S": "fahrenheit"}}}
        dynamodb.put_item(TableName=TABLE, Item={key: {"S": "acme#a"}, "device_type": {"S": "pump"}, "units": units})
        kinesis.create_stream(StreamName=STREAM, ShardCount=1)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def written(self):
        kinesis = self.client("kinesis")
        shard = kinesis.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
        iterator = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        records = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        return [json.loads(record["Data"]) for record in records]

    def enrichment(self):
        self.prepare()
        api = RuntimeApi()
        variables = {"DIRECTORY_TABLE": TABLE, "ENRICHED_STREAM": STREAM, "QUARANTINE_BUCKET": BUCKET}
        process = self.start(api.address, "enrichment", **variables)
        try:
            # A device that may still be on its way to the directory is waited for; after some minutes it is refused.
            kind, answer = api.invoke(batch(reading("a", 7), reading("stranger", 8, age_s=600)))
            assert (kind, answer) == ("response", {"batchItemFailures": []}), (kind, answer)
            (written,) = self.written()
            assert (written["seq"], written["device_type"], written["metrics"]) == (7, "pump", {"temp": 100.0}), written
            objects = self.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
            assert len(objects) == 1 and objects[0]["Key"].startswith("quarantine/"), objects
            print("ok: a batch is enriched, and what is refused is kept")

            kind, answer = api.invoke({"Records": "not a batch"})
            assert kind == "error" and answer["errorType"] == "Event" and "batch" in answer["errorMessage"], answer
            print("ok: an event that is no batch is reported as an error")

            self.client("kinesis").delete_stream(StreamName=STREAM)
            kind, answer = api.invoke(batch(reading("a", 9), reading("a", 10)), time_s=6)
            assert (kind, answer) == ("response", {"batchItemFailures": [{"itemIdentifier": "1000"}]}), (kind, answer)
            print("ok: what could not be written is answered as a failure of its record")
            assert process.poll() is None, "the environment serves all invocations"
        finally:
            process.kill()
            process.wait()

    def refusals(self):
        api = RuntimeApi()
        for handler, words in [("no-such", "there is no function"), ("enrichment", "DIRECTORY_TABLE is not set")]:
            code = self.start(api.address, handler).wait(timeout=30)
            log = (self.folder / f"{handler}.log").read_text()
            assert code == 1 and words in log, f"{handler}: exit code {code}\n{log}"
        print("ok: a function that cannot be built ends with exit code 1 and says why")


def main(package, folder):
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        judge = Judge(package, folder, f"http://{host}:{port}")
        judge.enrichment()
        judge.refusals()
    finally:
        server.stop()
    print("the packaged bootstrap serves Lambda's Runtime API")


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    main(*sys.argv[1:])
