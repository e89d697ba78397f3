"""The production build deploys to moto, over real HTTP: `judge_deployment.py PLATFORM PROGRAM FOLDER`.

PLATFORM is the production build, PROGRAM the program that is packaged for the functions, FOLDER is for files.
"""

import json
import logging
import os
import pathlib
import subprocess
import sys

import boto3
import moto_templates
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"


class Judge:
    def __init__(self, platform, program, folder, endpoint):
        self.platform, self.program = platform, program
        self.folder = pathlib.Path(folder)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.client = lambda name: boto3.client(name, region_name=REGION, endpoint_url=endpoint, **keys)

    def run(self, expected, *arguments, has=(), environment=None):
        """Runs a command, checks its exit code and its words, and answers its standard output."""
        done = subprocess.run(
            [self.platform, *map(str, arguments)],
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        said = f"{done.stdout}\n{done.stderr}"
        command = "platform " + " ".join(map(str, arguments))
        if done.returncode != expected:
            sys.exit(f"{command}: exit code {done.returncode}, expected {expected}\n{said}")
        for words in has:
            if words not in said:
                sys.exit(f"{command}: {words!r} is not in\n{said}")
        print(f"ok: {command} -> {done.returncode}")
        return done.stdout

    def templates(self, name, settings):
        """Synthesizes settings and makes the folder deployable to moto."""
        toml = self.folder / f"{name}.toml"
        toml.write_text(settings)
        synth, out = self.folder / f"{name}-synth", self.folder / name
        self.run(0, "synth", "--settings", toml, "--out", synth)
        moto_templates.main(synth, out)
        return out

    def statuses(self, folder):
        return json.loads(self.run(0, "status", "--templates", folder, "--format", "json"))

    def deployment(self):
        first = self.templates("first", "env = 'ci'\nenrichment.memory_mib = 512\n")
        stacks = json.loads((first / "manifest.json").read_text())["stacks"]
        count = len(stacks)

        self.run(2, "deploy", "--templates", first, has=["no terminal", "--approve"])
        self.run(1, "deploy", "--templates", first, "--approve", has=["s3://", "platform package --upload"])
        self.run(1, "doctor", "--templates", first, has=["FAIL  package", "ok    credentials", "shards"])
        assert not self.client("cloudformation").list_stacks()["StackSummaries"], "nothing may be there yet"
        upload = ["package", "--templates", first, "--binary", self.program, "--upload"]
        self.not_for_lambda(upload)
        self.bucket_of_packages(upload)
        self.run(0, *upload, has=["uploaded"])
        self.run(0, *upload, has=["was there"])
        self.run(0, "doctor", "--templates", first, has=["ok    package"])

        self.run(0, "deploy", "--templates", first, "--approve", has=[f"{count} stacks changed, 0 unchanged"])
        self.resources_are_there(first, stacks)
        for status in self.statuses(first):
            assert (status["status"], status["template"]) == ("CREATE_COMPLETE", "same"), status
        self.run(0, "diff", "--templates", first, has=["no differences"])
        self.changed_by_hand(first, stacks[0]["template"])
        self.run(0, "deploy", "--templates", first, "--approve", has=[f"0 stacks changed, {count} unchanged"])

        second = self.templates("second", "env = 'ci'\nenrichment.memory_mib = 1024\n")
        self.run(3, "diff", "--templates", second, has=["Properties.MemorySize", "- 512", "+ 1024"])
        said = self.run(0, "deploy", "--templates", second, "--approve", has=["1 stacks changed"])
        assert "enrichment: UPDATE_COMPLETE" in said, said
        changed = [status["stack"] for status in self.statuses(second) if status["status"] == "UPDATE_COMPLETE"]
        assert changed == ["iot-platform-ci-enrichment"], changed
        self.bad_credentials(second)
        self.destruction(second)

    def not_for_lambda(self, upload):
        """A program that Lambda cannot start, or that would serve no function, is refused before anything is made."""
        program = pathlib.Path(self.program).read_bytes()
        mark = b"platform-build:production"
        assert mark in program, "the production build carries its mark"
        for name, content, words in [
            ("unmarked", program.replace(mark, mark[::-1]), "no production build"),
            ("newer", program + b"GLIBC_2.99\0", "needs glibc 2.99"),
            ("narrow", program[:4] + b"\x01" + program[5:], "no 64-bit Linux program"),
        ]:
            path = self.folder / name
            path.write_bytes(content)
            arguments = [path if argument == self.program else argument for argument in upload]
            self.run(1, *arguments, has=[words, "hint: "])
        assert not self.client("s3").list_buckets()["Buckets"], "no bucket may be there yet"

    def bucket_of_packages(self, upload):
        """The bucket is made private, versioned and by TLS only: moto is spoken to without TLS, and refuses."""
        self.run(1, *upload, has=["HTTP status 403"])
        s3, bucket = self.client("s3"), f"iot-platform-ci-artifacts-123456789012-{REGION}"
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
        # A policy of its own stays: the next upload does not set the other again.
        own = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [own]}))

    def changed_by_hand(self, folder, template):
        path = folder / template
        text = path.read_text()
        path.write_text(text + " ")
        self.run(2, "deploy", "--templates", folder, "--approve", has=[template, "SHA-256"])
        path.write_text(text)

    def resources_are_there(self, folder, stacks):
        """Every resource of every template is in its stack, as an independent client reads it."""
        for stack in stacks:
            template = json.loads((folder / stack["template"]).read_text())
            pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack["name"])
            found = {r["LogicalResourceId"] for page in pages for r in page["StackResourceSummaries"]}
            missing = sorted(set(template["Resources"]) - found)
            assert not missing, f"{stack['name']} has no {missing}"

    def bad_credentials(self, folder):
        nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        self.run(1, "status", "--templates", folder, environment=nobody, has=["hint: sign in"])
        nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        self.run(1, "status", "--templates", folder, environment=nowhere, has=["hint: check the network"])

    def destruction(self, folder):
        self.run(2, "destroy", "--templates", folder, has=["no terminal"])
        bucket = f"iot-platform-ci-raw-123456789012-{REGION}"
        self.client("s3").put_object(Bucket=bucket, Key="object", Body=b"x")
        self.run(1, "destroy", "--templates", folder, "--approve", has=[f"aws s3 rm s3://{bucket} --recursive"])
        versions = self.client("s3").list_object_versions(Bucket=bucket)
        for version in versions.get("Versions", []):
            self.client("s3").delete_object(Bucket=bucket, Key="object", VersionId=version["VersionId"])
        self.run(0, "destroy", "--templates", folder, "--approve", has=["stacks deleted from account 123456789012"])
        assert all(status["status"] is None for status in self.statuses(folder))
        assert not self.client("kinesis").list_streams()["StreamNames"], "the streams are gone with their stacks"
        self.run(0, "destroy", "--templates", folder, "--approve", has=["nothing was deleted"])


def main(platform, program, folder):
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        Judge(platform, program, folder, f"http://{host}:{port}").deployment()
    finally:
        server.stop()
    print("the production build deploys, resumes, updates and destroys over real HTTP")


if __name__ == "__main__":
    main(*sys.argv[1:])
