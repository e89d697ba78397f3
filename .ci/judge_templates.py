"""Judges folders of `platform synth`, and of templates in YAML: cfn-lint and checkov the templates, sqlglot the statements
of Athena.

Usage: judge_templates.py FOLDER...

Every finding fails, and so does an exception without a reason, an exception that no judge would have needed, and a judge
that had nothing to judge.
"""

import json
import subprocess
import sys
from pathlib import Path

import sqlglot
from cfnlint.decode import cfn_yaml
from sqlglot import expressions

TOOLS = Path(sys.executable).parent
SNAPSHOTS = Path(__file__).parent.parent / "platform/src/deploy/snapshots"


def fail(what: str, lines: list[str]) -> None:
    if lines:
        sys.exit("\n  ".join([f"{what}:", *lines]))


def read(folders: list[Path]) -> dict[Path, dict]:
    """All templates by their files. Where there is a manifest, they must be those that it lists."""
    templates = {}
    for folder in folders:
        if not (folder / "manifest.json").exists():
            written = sorted(folder.glob("*.yaml"))
            fail(f"{folder}: neither a manifest nor a template in YAML", [] if written else [str(folder)])
            templates |= {path: cfn_yaml.load(str(path)) for path in written}
            continue
        listed = {stack["template"] for stack in json.loads((folder / "manifest.json").read_text())["stacks"]}
        files = {path.name for path in folder.glob("*.template.json")}
        fail(f"{folder}: the manifest and the folder differ", sorted(listed ^ files))
        templates |= {folder / name: json.loads((folder / name).read_text()) for name in sorted(files)}
    assert templates, "no template to judge"
    return templates


def resources(templates: dict[Path, dict]):
    """(file, logical id, resource) of every resource."""
    for path, template in templates.items():
        for name, resource in template["Resources"].items():
            yield path, name, resource


def cfn_lint(templates: dict[Path, dict]) -> str:
    explained = 0
    for path, name, resource in resources(templates):
        metadata = resource.get("Metadata", {}).get("cfn-lint", {})
        ignored, reasons = metadata.get("config", {}).get("ignore_checks", []), metadata.get("reasons", [])
        without = [check for check in ignored if not any(reason.startswith(f"{check}: ") for reason in reasons)]
        fail(f"{path} {name}: ignored without a reason", without)
        explained += len(ignored)
    files = [str(path) for path in templates]
    ran = subprocess.run([TOOLS / "cfn-lint", "--format", "json", "--", *files], capture_output=True, text=True)
    if ran.stderr.strip():
        sys.exit(f"cfn-lint: {ran.stderr}")
    findings = json.loads(ran.stdout or "[]")
    where = lambda f: f"{f['Filename']}:{f['Location']['Start']['LineNumber']} {f['Rule']['Id']} {f['Message']}"
    fail("cfn-lint", [where(finding) for finding in findings])
    assert ran.returncode == 0, f"cfn-lint ended with {ran.returncode}"
    count = sum(1 for _ in resources(templates))
    return f"cfn-lint: {len(files)} templates, {count} resources, no finding, {explained} explained"


def checkov(folder: Path, templates: dict[Path, dict]) -> tuple[int, int]:
    own = {path.name: template for path, template in templates.items() if path.parent == folder}
    declared = {}
    for file, template in own.items():
        for name, resource in template["Resources"].items():
            for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
                assert skip.get("comment", "").strip(), f"{file} {name}: {skip['id']} is skipped without a reason"
                declared[(file, f"{resource['Type']}.{name}", skip["id"])] = skip["comment"]
    command = [TOOLS / "checkov", "--directory", str(folder), "--framework", "cloudformation", "--skip-download"]
    ran = subprocess.run([*command, "--compact", "--output", "json"], capture_output=True, text=True)
    try:
        report = json.loads(ran.stdout)
        results, summary = report["results"], report["summary"]
    except (ValueError, KeyError):
        sys.exit(f"checkov ended with {ran.returncode}: {ran.stdout[:2000]}{ran.stderr[:2000]}")
    key = lambda check: (Path(check["file_path"]).name, check["resource"], check["check_id"])
    fail("checkov cannot read", results["parsing_errors"])
    fail("checkov", [f"{' '.join(key(check))} {check['check_name']}" for check in results["failed_checks"]])
    skipped = {key(check) for check in results["skipped_checks"]}
    fail("checkov skips what no template explains", [" ".join(check) for check in sorted(skipped - set(declared))])
    fail("explained to checkov, which does not ask", [" ".join(check) for check in sorted(set(declared) - skipped)])
    assert summary["passed"] > 0 and summary["failed"] == 0, summary
    return summary["passed"], len(skipped)


def statements(templates: dict[Path, dict]):
    """(where, statement) of everything that Athena is asked."""
    for path, name, resource in resources(templates):
        if resource["Type"] == "AWS::Athena::NamedQuery":
            query = resource["Properties"]["QueryString"]
            yield f"{path} {name}", query if isinstance(query, str) else query["Fn::Sub"]
    # Statements of functions: snapshots that a test compares with what the functions ask, below a header.
    for path in sorted(SNAPSHOTS.glob("*__statement-*.snap")):
        yield path.name, path.read_text().split("\n---\n", 1)[1]


def athena(templates: dict[Path, dict]) -> str:
    bad, kinds = [], {}
    for where, text in statements(templates):
        try:
            parsed = sqlglot.parse(text, dialect="athena")
        except sqlglot.errors.ParseError as error:
            bad.append(f"{where}: {error}")
            continue
        # What sqlglot does not understand it hands through as a command.
        if len(parsed) != 1 or parsed[0] is None or isinstance(parsed[0], expressions.Command):
            bad.append(f"{where}: not one statement that sqlglot understands")
        else:
            kinds[parsed[0].key] = kinds.get(parsed[0].key, 0) + 1
    fail("sqlglot", bad)
    assert kinds.get("select") and kinds.get("insert"), f"queries and insertions were expected, found {kinds}"
    return f"sqlglot: {sum(kinds.values())} statements of Athena ({', '.join(f'{n} {k}' for k, n in kinds.items())})"


def main(folders: list[Path]) -> None:
    templates = read(folders)
    print(cfn_lint(templates))
    for folder in folders:
        passed, skipped = checkov(folder, templates)
        print(f"checkov: {folder.name}: {passed} checks passed, none failed, {skipped} skipped with a reason")
    print(athena(templates))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
