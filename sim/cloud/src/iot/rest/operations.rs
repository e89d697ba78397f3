//! The operations of the control plane: which call is which.

/// Operation, method and path, as the service's model gives them. `{name}` stands for one segment.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("CreateThing", "POST", "/things/{thingName}"),
    ("UpdateThing", "PATCH", "/things/{thingName}"),
    ("DescribeThing", "GET", "/things/{thingName}"),
    ("DeleteThing", "DELETE", "/things/{thingName}"),
    ("ListThings", "GET", "/things"),
    ("CreateThingType", "POST", "/thing-types/{thingTypeName}"),
    ("DescribeThingType", "GET", "/thing-types/{thingTypeName}"),
    ("DeprecateThingType", "POST", "/thing-types/{thingTypeName}/deprecate"),
    ("DeleteThingType", "DELETE", "/thing-types/{thingTypeName}"),
    ("ListThingTypes", "GET", "/thing-types"),
    ("UpdateThingType", "PATCH", "/thing-types/{thingTypeName}"),
    ("CreateThingGroup", "POST", "/thing-groups/{thingGroupName}"),
    ("UpdateThingGroup", "PATCH", "/thing-groups/{thingGroupName}"),
    ("DescribeThingGroup", "GET", "/thing-groups/{thingGroupName}"),
    ("DeleteThingGroup", "DELETE", "/thing-groups/{thingGroupName}"),
    ("ListThingGroups", "GET", "/thing-groups"),
    ("CreateDynamicThingGroup", "POST", "/dynamic-thing-groups/{thingGroupName}"),
    ("AddThingToThingGroup", "PUT", "/thing-groups/addThingToThingGroup"),
    ("RemoveThingFromThingGroup", "PUT", "/thing-groups/removeThingFromThingGroup"),
    ("ListThingsInThingGroup", "GET", "/thing-groups/{thingGroupName}/things"),
    ("ListThingGroupsForThing", "GET", "/things/{thingName}/thing-groups"),
    ("UpdateThingGroupsForThing", "PUT", "/thing-groups/updateThingGroupsForThing"),
    ("CreateBillingGroup", "POST", "/billing-groups/{billingGroupName}"),
    ("UpdateBillingGroup", "PATCH", "/billing-groups/{billingGroupName}"),
    ("DescribeBillingGroup", "GET", "/billing-groups/{billingGroupName}"),
    ("DeleteBillingGroup", "DELETE", "/billing-groups/{billingGroupName}"),
    ("ListBillingGroups", "GET", "/billing-groups"),
    ("AddThingToBillingGroup", "PUT", "/billing-groups/addThingToBillingGroup"),
    ("RemoveThingFromBillingGroup", "PUT", "/billing-groups/removeThingFromBillingGroup"),
    ("ListThingsInBillingGroup", "GET", "/billing-groups/{billingGroupName}/things"),
    ("AttachThingPrincipal", "PUT", "/things/{thingName}/principals"),
    ("DetachThingPrincipal", "DELETE", "/things/{thingName}/principals"),
    ("ListThingPrincipals", "GET", "/things/{thingName}/principals"),
    ("ListPrincipalThings", "GET", "/principals/things"),
    ("CreatePolicy", "POST", "/policies/{policyName}"),
    ("CreatePolicyVersion", "POST", "/policies/{policyName}/version"),
    ("GetPolicy", "GET", "/policies/{policyName}"),
    ("GetPolicyVersion", "GET", "/policies/{policyName}/version/{policyVersionId}"),
    ("DeletePolicy", "DELETE", "/policies/{policyName}"),
    ("DeletePolicyVersion", "DELETE", "/policies/{policyName}/version/{policyVersionId}"),
    ("SetDefaultPolicyVersion", "PATCH", "/policies/{policyName}/version/{policyVersionId}"),
    ("ListPolicies", "GET", "/policies"),
    ("ListPolicyVersions", "GET", "/policies/{policyName}/version"),
    ("AttachPolicy", "PUT", "/target-policies/{policyName}"),
    ("DetachPolicy", "POST", "/target-policies/{policyName}"),
    ("ListAttachedPolicies", "POST", "/attached-policies/{target}"),
    ("ListTargetsForPolicy", "POST", "/policy-targets/{policyName}"),
    ("GetEffectivePolicies", "POST", "/effective-policies"),
    ("TestAuthorization", "POST", "/test-authorization"),
    ("CreateKeysAndCertificate", "POST", "/keys-and-certificate"),
    ("CreateCertificateFromCsr", "POST", "/certificates"),
    ("RegisterCertificate", "POST", "/certificate/register"),
    ("RegisterCertificateWithoutCA", "POST", "/certificate/register-no-ca"),
    ("RegisterCACertificate", "POST", "/cacertificate"),
    ("UpdateCACertificate", "PUT", "/cacertificate/{caCertificateId}"),
    ("UpdateCertificate", "PUT", "/certificates/{certificateId}"),
    ("DescribeCertificate", "GET", "/certificates/{certificateId}"),
    ("DeleteCertificate", "DELETE", "/certificates/{certificateId}"),
    ("ListCertificates", "GET", "/certificates"),
    ("GetRegistrationCode", "GET", "/registrationcode"),
    ("RegisterThing", "POST", "/things"),
    ("StartThingRegistrationTask", "POST", "/thing-registration-tasks"),
    ("CreateProvisioningTemplate", "POST", "/provisioning-templates"),
    ("UpdateProvisioningTemplate", "PATCH", "/provisioning-templates/{templateName}"),
    ("DescribeProvisioningTemplate", "GET", "/provisioning-templates/{templateName}"),
    ("DeleteProvisioningTemplate", "DELETE", "/provisioning-templates/{templateName}"),
    ("ListProvisioningTemplates", "GET", "/provisioning-templates"),
    ("CreateProvisioningTemplateVersion", "POST", "/provisioning-templates/{templateName}/versions"),
    ("ListProvisioningTemplateVersions", "GET", "/provisioning-templates/{templateName}/versions"),
    ("DescribeProvisioningTemplateVersion", "GET", "/provisioning-templates/{templateName}/versions/{versionId}"),
    ("DeleteProvisioningTemplateVersion", "DELETE", "/provisioning-templates/{templateName}/versions/{versionId}"),
    ("CreateProvisioningClaim", "POST", "/provisioning-templates/{templateName}/provisioning-claim"),
    ("CreateTopicRule", "POST", "/rules/{ruleName}"),
    ("ReplaceTopicRule", "PATCH", "/rules/{ruleName}"),
    ("GetTopicRule", "GET", "/rules/{ruleName}"),
    ("DeleteTopicRule", "DELETE", "/rules/{ruleName}"),
    ("ListTopicRules", "GET", "/rules"),
    ("EnableTopicRule", "POST", "/rules/{ruleName}/enable"),
    ("DisableTopicRule", "POST", "/rules/{ruleName}/disable"),
    ("CreateTopicRuleDestination", "POST", "/destinations"),
    ("ConfirmTopicRuleDestination", "GET", "/confirmdestination/{confirmationToken+}"),
    ("SearchIndex", "POST", "/indices/search"),
    ("UpdateIndexingConfiguration", "POST", "/indexing/config"),
    ("GetIndexingConfiguration", "GET", "/indexing/config"),
    ("DescribeEndpoint", "GET", "/endpoint"),
    ("UpdateEventConfigurations", "PATCH", "/event-configurations"),
    ("DescribeEventConfigurations", "GET", "/event-configurations"),
    ("SetV2LoggingOptions", "POST", "/v2LoggingOptions"),
    ("GetV2LoggingOptions", "GET", "/v2LoggingOptions"),
    ("SetV2LoggingLevel", "POST", "/v2LoggingLevel"),
    ("CreateRoleAlias", "POST", "/role-aliases/{roleAlias}"),
    ("CreateAuthorizer", "POST", "/authorizer/{authorizerName}"),
    ("TagResource", "POST", "/tags"),
    ("UntagResource", "POST", "/untag"),
    ("ListTagsForResource", "GET", "/tags"),
];

/// The operation that a request asks for, with the decoded values of the path's parameters.
pub(super) fn find(method: &str, path: &str) -> Option<(&'static str, Vec<String>)> {
    let literal_first = |template: &str| template.matches('{').count();
    let mut found: Option<(&'static str, &'static str, Vec<String>)> = None;
    for (operation, verb, template) in OPERATIONS.iter().copied() {
        if verb == method
            && let Some(parameters) = capture(template, path)
            && found.as_ref().is_none_or(|(_, other, _)| literal_first(template) < literal_first(other))
        {
            found = Some((operation, template, parameters));
        }
    }
    found.map(|(operation, _, parameters)| (operation, parameters))
}

fn capture(template: &str, path: &str) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            parameters.push(decode(segment)?);
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(parameters)
}

/// Undoes percent-encoding; `None` when it is malformed.
pub(in crate::iot) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16);
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
