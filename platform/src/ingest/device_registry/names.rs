//! Names of tenants, devices and their types.
//!
//! They become parts of topics, of policies, of groups and of keys of the directory. So they have no character that means
//! something there: `/`, `+` and `#` divide and match topics, `*`, `?` and `$` are not filled into policies, `#` divides
//! keys.

/// Longest name of a thing (IoT API reference, `CreateThing`), which is also a client id.
pub const DEVICE_MAX: usize = 128;
/// Longest name of a tenant: with the prefix of the platform it names groups of at most 128 characters.
pub const TENANT_MAX: usize = 64;
/// Longest name of a device's type.
pub const DEVICE_TYPE_MAX: usize = 64;

/// What all names are made of, for people.
pub const ALPHABET: &str = "letters, digits, '_' and '-'";

fn is_name(text: &str, longest: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a tenant can be called so.
pub fn is_tenant(text: &str) -> bool {
    is_name(text, TENANT_MAX)
}

/// Whether a device can be called so.
pub fn is_device(text: &str) -> bool {
    is_name(text, DEVICE_MAX)
}

/// Whether a type of device can be called so.
pub fn is_device_type(text: &str) -> bool {
    is_name(text, DEVICE_TYPE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_anything_in_a_topic_a_policy_or_a_key() {
        for good in ["a", "pump-1", "Acme_2", "0", &"x".repeat(TENANT_MAX)] {
            assert!(is_tenant(good) && is_device(good) && is_device_type(good), "{good}");
        }
        let bad = ["", "a/b", "a+", "#", "a*", "a?", "$aws", "${x}", "a b", "a.b", "a:b", "ä", "a\n", "a,b"];
        for bad in bad.into_iter().chain([&*"x".repeat(DEVICE_MAX + 1)]) {
            assert!(!is_tenant(bad) && !is_device(bad) && !is_device_type(bad), "{bad}");
        }
    }
}
