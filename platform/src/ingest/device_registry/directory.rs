//! The schema of the device directory: one item a device.

/// Key of an item: [`device_key`].
pub const DEVICE_KEY: &str = "device_key";
/// Text: the tenant.
pub const TENANT_ID: &str = "tenant_id";
/// Text: the device.
pub const DEVICE_ID: &str = "device_id";
/// Text: what kind of device it is.
pub const DEVICE_TYPE: &str = "device_type";
/// Map of texts: the unit of each metric, by the metric's name. Optional.
pub const UNITS: &str = "units";

/// Key of a device's item. A tenant cannot reach the item of another, because the tenant is part of it; topics have
/// no `#`, so two devices never share a key.
pub fn device_key(tenant_id: &str, device_id: &str) -> String {
    let mut key = String::with_capacity(tenant_id.len() + 1 + device_id.len());
    key.push_str(tenant_id);
    key.push('#');
    key.push_str(device_id);
    key
}
