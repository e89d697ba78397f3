//! Which function answers which operation of the registry, and what its query may ask for.

use super::Act;
use crate::iot::Iot;

/// What answers an operation on things, types, groups, certificates, policies and events.
pub(super) fn act(operation: &str) -> Option<Act> {
    Some(match operation {
        "CreateThing" => Iot::rest_create_thing,
        "UpdateThing" => Iot::rest_update_thing,
        "DescribeThing" => Iot::rest_describe_thing,
        "DeleteThing" => Iot::rest_delete_thing,
        "ListThings" => Iot::rest_list_things,
        "CreateThingType" => Iot::rest_create_thing_type,
        "DescribeThingType" => Iot::rest_describe_thing_type,
        "DeprecateThingType" => Iot::rest_deprecate_thing_type,
        "DeleteThingType" => Iot::rest_delete_thing_type,
        "ListThingTypes" => Iot::rest_list_thing_types,
        "CreateThingGroup" => Iot::rest_create_thing_group,
        "UpdateThingGroup" => Iot::rest_update_thing_group,
        "DescribeThingGroup" => Iot::rest_describe_thing_group,
        "DeleteThingGroup" => Iot::rest_delete_thing_group,
        "ListThingGroups" => Iot::rest_list_thing_groups,
        "CreateBillingGroup" => Iot::rest_create_billing_group,
        "UpdateBillingGroup" => Iot::rest_update_billing_group,
        "DescribeBillingGroup" => Iot::rest_describe_billing_group,
        "DeleteBillingGroup" => Iot::rest_delete_billing_group,
        "ListBillingGroups" => Iot::rest_list_billing_groups,
        "AddThingToThingGroup" => Iot::rest_change_membership::<true, true>,
        "RemoveThingFromThingGroup" => Iot::rest_change_membership::<true, false>,
        "AddThingToBillingGroup" => Iot::rest_change_membership::<false, true>,
        "RemoveThingFromBillingGroup" => Iot::rest_change_membership::<false, false>,
        "UpdateThingGroupsForThing" => Iot::rest_update_groups_of_thing,
        "ListThingsInThingGroup" => Iot::rest_list_things_in_group,
        "ListThingGroupsForThing" => Iot::rest_list_groups_of_thing,
        "ListThingsInBillingGroup" => Iot::rest_list_things_in_billing_group,
        "CreateKeysAndCertificate" => Iot::rest_create_keys,
        "CreateCertificateFromCsr" => Iot::rest_create_from_csr,
        "RegisterCertificateWithoutCA" => Iot::rest_register_certificate,
        "UpdateCertificate" => Iot::rest_update_certificate,
        "DescribeCertificate" => Iot::rest_describe_certificate,
        "DeleteCertificate" => Iot::rest_delete_certificate,
        "ListCertificates" => Iot::rest_list_certificates,
        "AttachThingPrincipal" => Iot::rest_attach_thing_principal,
        "DetachThingPrincipal" => Iot::rest_detach_thing_principal,
        "ListThingPrincipals" => Iot::rest_list_thing_principals,
        "ListPrincipalThings" => Iot::rest_list_principal_things,
        "CreatePolicy" => Iot::rest_create_policy,
        "CreatePolicyVersion" => Iot::rest_create_policy_version,
        "GetPolicy" => Iot::rest_get_policy,
        "GetPolicyVersion" => Iot::rest_get_policy_version,
        "DeletePolicy" => Iot::rest_delete_policy,
        "DeletePolicyVersion" => Iot::rest_delete_policy_version,
        "SetDefaultPolicyVersion" => Iot::rest_set_default_policy_version,
        "ListPolicies" => Iot::rest_list_policies,
        "ListPolicyVersions" => Iot::rest_list_policy_versions,
        "AttachPolicy" => Iot::rest_attach_policy,
        "DetachPolicy" => Iot::rest_detach_policy,
        "ListAttachedPolicies" => Iot::rest_list_attached_policies,
        "ListTargetsForPolicy" => Iot::rest_list_targets,
        "GetEffectivePolicies" => Iot::rest_get_effective_policies,
        "UpdateEventConfigurations" => Iot::rest_update_event_configurations,
        "DescribeEventConfigurations" => Iot::rest_describe_event_configurations,
        _ => return None,
    })
}

/// The parameters in the query of an operation that are modelled.
pub(super) fn query_parameters(operation: &str) -> &'static [&'static str] {
    match operation {
        "ListThings" => {
            &["nextToken", "maxResults", "attributeName", "attributeValue", "thingTypeName", "usePrefixAttributeValue"]
        }
        "ListThingTypes" => &["nextToken", "maxResults", "thingTypeName"],
        "ListThingGroups" => &["nextToken", "maxResults", "parentGroup", "namePrefixFilter", "recursive"],
        "ListBillingGroups" => &["nextToken", "maxResults", "namePrefixFilter"],
        "ListThingsInThingGroup" => &["nextToken", "maxResults", "recursive"],
        "ListThingGroupsForThing" | "ListThingsInBillingGroup" | "ListThingPrincipals" | "ListPrincipalThings" => {
            &["nextToken", "maxResults"]
        }
        "DeleteThing" | "DeleteThingGroup" | "DeleteBillingGroup" => &["expectedVersion"],
        "AttachThingPrincipal" => &["thingPrincipalType"],
        "CreateKeysAndCertificate" | "CreateCertificateFromCsr" => &["setAsActive"],
        "UpdateCertificate" => &["newStatus"],
        "DeleteCertificate" => &["forceDelete"],
        "CreatePolicyVersion" => &["setAsDefault"],
        "ListCertificates" | "ListPolicies" => &["marker", "pageSize", "isAscendingOrder"],
        "ListAttachedPolicies" => &["recursive", "marker", "pageSize"],
        "ListTargetsForPolicy" => &["marker", "pageSize"],
        "GetEffectivePolicies" => &["thingName"],
        _ => &[],
    }
}
