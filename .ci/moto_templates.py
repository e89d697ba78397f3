"""Makes a synthesized folder deployable to moto: `moto_templates.py FROM TO`.

What is changed, and nothing else:
- Resources of types that moto's CloudFormation does not make are left out (UNKNOWN and BROKEN below); what refers to one
  gets a placeholder. The list is printed, and checked against moto: a type that moto has learned must go from it.
- Properties that moto fails on are left out (DROPPED below).
- The manifest has the hashes of the changed templates.
- moto resolves no dynamic references, but template parameters that take their value from Systems Manager: each
  {{resolve:ssm:PATH}} becomes such a parameter.
"""

import hashlib
import json
import pathlib
import re
import shutil
import sys

# Types that moto 5.2.5 has no CloudFormation support for.
UNKNOWN = {
    "AWS::Athena::NamedQuery",
    "AWS::Athena::WorkGroup",
    "AWS::Budgets::Budget",
    "AWS::CE::AnomalyMonitor",
    "AWS::CE::AnomalySubscription",
    "AWS::CloudTrail::Trail",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeBuild::Project",
    "AWS::CodePipeline::Pipeline",
    "AWS::Cognito::IdentityPool",
    "AWS::Cognito::IdentityPoolPrincipalTag",
    "AWS::Cognito::IdentityPoolRoleAttachment",
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolDomain",
    "AWS::Cognito::UserPoolGroup",
    "AWS::Cognito::UserPoolResourceServer",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::IoT::DomainConfiguration",
    "AWS::IoT::Logging",
    "AWS::IoT::ProvisioningTemplate",
    "AWS::IoT::ThingGroup",
    "AWS::IoT::TopicRule",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Logs::LogStream",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
}

# Types that moto knows, and fails on with properties that AWS takes: type -> why.
BROKEN = {}

# Properties that moto fails on: (type, property) -> why.
DROPPED = {
    ("AWS::KMS::Key", "Tags"): "moto wants the keys that KMS's own API has",
    ("AWS::SSM::Parameter", "Tags"): "moto wants a list, where CloudFormation takes a map",
}

REFERENCE = re.compile(r"\{\{resolve:ssm:([^}:]+)(?::\d+)?\}\}")


def known_to_moto():
    from moto.cloudformation import parsing  # It imports every model, and models register themselves.

    return set(parsing.get_model_map()) | set(parsing.NULL_MODELS)


class Template:
    """One template on its way to moto."""

    def __init__(self, template, left_out):
        self.template = template
        resources = template["Resources"]
        self.gone = {name for name, resource in resources.items() if resource["Type"] in left_out}
        self.parameters = {}

    def transform(self):
        kept = {name: r for name, r in self.template["Resources"].items() if name not in self.gone}
        for resource in kept.values():
            for kind, name in DROPPED:
                if resource["Type"] == kind:
                    resource.get("Properties", {}).pop(name, None)
            after = resource.get("DependsOn", [])
            after = [after] if isinstance(after, str) else after
            after = [name for name in after if name not in self.gone]
            resource.pop("DependsOn", None)
            if after:
                resource["DependsOn"] = after
        kept = {name: self.value(resource) for name, resource in kept.items()}
        if not kept:
            # CloudFormation takes no template without resources.
            kept = {"Empty": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "empty"}}}
        out = {key: value for key, value in self.template.items() if key not in ("Resources", "Outputs")}
        if self.parameters:
            out["Parameters"] = {**out.get("Parameters", {}), **self.parameters}
        out["Resources"] = kept
        return out

    def value(self, value):
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), = value.items()
            if function == "Ref" and argument in self.gone:
                return placeholder(argument)
            if function == "Fn::GetAtt":
                name = argument.split(".")[0] if isinstance(argument, str) else argument[0]
                return placeholder(name) if name in self.gone else value
            if function == "Fn::Sub" and isinstance(argument, str):
                return {"Fn::Sub": self.substitution(argument)}
        return {key: self.value(member) for key, member in value.items()}

    def text(self, text):
        whole = REFERENCE.fullmatch(text)
        if whole:
            return {"Ref": self.parameter(whole.group(1))}
        if not REFERENCE.search(text):
            return text
        escaped = text.replace("${", "${!")
        return {"Fn::Sub": REFERENCE.sub(lambda match: "${" + self.parameter(match.group(1)) + "}", escaped)}

    def substitution(self, text):
        text = REFERENCE.sub(lambda match: "${" + self.parameter(match.group(1)) + "}", text)

        def filled(match):
            return placeholder(match.group(1)) if match.group(1) in self.gone else match.group(0)

        return re.sub(r"\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}", filled, text)

    def parameter(self, path):
        name = "Read" + re.sub(r"[^A-Za-z0-9]", "", path.title())
        self.parameters[name] = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": path}
        return name


def placeholder(name):
    return f"arn:aws:left-out:eu-west-1:123456789012:{name}"


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    known = known_to_moto()
    learned = sorted(UNKNOWN & known)
    if learned:
        sys.exit(f"moto knows these types now, so they must go from the list UNKNOWN: {', '.join(learned)}")
    strangers = sorted(set(BROKEN) - known)
    if strangers:
        sys.exit(f"moto does not know these types, so they belong to the list UNKNOWN: {', '.join(strangers)}")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    manifest = json.loads((source / "manifest.json").read_text())
    left_out, kept = {}, 0
    for stack in manifest["stacks"]:
        template = json.loads((source / stack["template"]).read_text())
        for name, resource in template["Resources"].items():
            kind = resource["Type"]
            if kind in UNKNOWN or kind in BROKEN:
                left_out.setdefault(kind, []).append(f"{stack['name']}/{name}")
            elif kind not in known:
                sys.exit(f"{stack['name']}/{name}: moto does not know {kind}: add it to the list UNKNOWN")
            else:
                kept += 1
        changed = Template(template, UNKNOWN | set(BROKEN)).transform()
        text = json.dumps(changed, indent=2)
        (target / stack["template"]).write_text(text)
        stack["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (target / "manifest.json").write_text(json.dumps(manifest, indent=2))
    print(f"moto makes {kept} resources; left out are {sum(map(len, left_out.values()))}:")
    for kind, names in sorted(left_out.items()):
        reason = BROKEN.get(kind, "not known to moto")
        print(f"  {kind}: {len(names)} ({reason})")
    for (kind, name), reason in DROPPED.items():
        print(f"  property {name} of {kind} ({reason})")


if __name__ == "__main__":
    main(*sys.argv[1:])
