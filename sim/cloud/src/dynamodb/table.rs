//! Tables: their schema, their creation, and what is told of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::value::{AttributeValue, Attributes};
use super::{DynamoDb, missing, parse, validation};
use crate::core::{AwsError, Cx, Resource, TokenBucket};
use world::time::Time;

/// What a key held until an instant.
#[derive(Debug)]
struct Before {
    until: Time,
    item: Option<Item>,
}

/// An item as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Attributes as JSON.
    pub json: Box<str>,
    pub size_bytes: usize,
}

/// The limits of items, as the quotas give them.
#[derive(Debug)]
pub(super) struct ItemLimits {
    pub item_bytes: usize,
    pub nesting: u64,
    pub expression_bytes: usize,
    partition_key_bytes: usize,
    sort_key_bytes: usize,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub name: String,
    pub arn: String,
    id: String,
    created: Time,
    pub deletion_protection: bool,
    /// The customer-managed key that encrypts the table, if any.
    pub key: Option<String>,
    /// Partition key, and sort key if there is one.
    keys: Vec<KeyAttribute>,
    pub limits: ItemLimits,
    pub items: BTreeMap<Vec<u8>, Item>,
    /// What was there before, by key and in the order of time; only as long as reads may be answered with it.
    before: BTreeMap<Vec<u8>, VecDeque<Before>>,
    /// Sum of the items' sizes.
    pub size_bytes: usize,
    pub read_half_units: TokenBucket,
    pub write_units: TokenBucket,
}

/// An attribute of a table's key.
#[derive(Debug)]
struct KeyAttribute {
    name: String,
    /// `S`, `N` or `B`.
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    table_name: String,
    billing_mode: Option<String>,
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeyElement>,
    table_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<SseSpecification>,
    time_to_live_specification: Option<TimeToLive>,
    #[serde(default, rename = "PointInTimeRecoverySpecification")]
    _point_in_time_recovery: Option<Value>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SseSpecification {
    #[serde(rename = "SSEEnabled")]
    sse_enabled: bool,
    #[serde(rename = "SSEType")]
    sse_type: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    kms_master_key_id: Option<String>,
}

/// AWS deletes expired items within a few days, and readers see them until then: nothing is deleted here.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeToLive {
    attribute_name: Option<String>,
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

impl Properties {
    fn check(&self, resource: &Resource) -> Result<(), AwsError> {
        let refuse = |why: String| Err(resource.refuse(why));
        let name = &self.table_name;
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !(3..=255).contains(&name.len()) || !name.bytes().all(is_name_byte) {
            return refuse("TableName has 3 to 255 letters, digits, underscores, hyphens and dots".to_owned());
        }
        if self.billing_mode.as_deref() != Some("PAY_PER_REQUEST") {
            return refuse("only the BillingMode PAY_PER_REQUEST is modelled".to_owned());
        }
        if self.table_class.as_deref().is_some_and(|class| class != "STANDARD") {
            return refuse("a TableClass other than STANDARD is not modelled".to_owned());
        }
        if let Some(sse) = &self.sse_specification
            && ((sse.sse_type.is_some() && sse.sse_type.as_deref() != Some("KMS"))
                || (!sse.sse_enabled && sse.kms_master_key_id.is_some()))
        {
            return refuse("SSESpecification: the SSEType is KMS, and only an enabled one has a key".to_owned());
        }
        if self.time_to_live_specification.as_ref().is_some_and(|ttl| ttl.enabled && ttl.attribute_name.is_none()) {
            return refuse("TimeToLiveSpecification names the attribute when it is enabled".to_owned());
        }
        let roles: Vec<&str> = self.key_schema.iter().map(|element| element.key_type.as_str()).collect();
        if roles != ["HASH"] && roles != ["HASH", "RANGE"] {
            return refuse("KeySchema holds one HASH key, and one RANGE key behind it if any".to_owned());
        }
        let keys: BTreeSet<&str> = self.key_schema.iter().map(|element| element.attribute_name.as_str()).collect();
        let defined: BTreeSet<&str> =
            self.attribute_definitions.iter().map(|definition| definition.attribute_name.as_str()).collect();
        if keys.len() != self.key_schema.len() || keys != defined || defined.len() != self.attribute_definitions.len() {
            return refuse("AttributeDefinitions defines each attribute of KeySchema once, and no other".to_owned());
        }
        if keys.iter().any(|name| name.is_empty() || name.len() > 255) {
            return refuse("the name of a key attribute has 1 to 255 bytes".to_owned());
        }
        match self.attribute_definitions.iter().find(|d| !["S", "N", "B"].contains(&d.attribute_type.as_str())) {
            Some(d) => {
                refuse(format!("AttributeType of {} is {:?}; a key is S, N or B", d.attribute_name, d.attribute_type))
            }
            None => Ok(()),
        }
    }
}

impl Table {
    /// Name of the partition key.
    pub fn partition_key(&self) -> &str {
        self.keys.first().map_or("", |key| &key.name)
    }

    /// The key of an item that is given as JSON, as JSON.
    pub fn key_in(&self, item: &str) -> Value {
        let item: Value = serde_json::from_str(item).expect("an item is kept as JSON");
        self.keys
            .iter()
            .map(|key| (key.name.clone(), item[&key.name].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The table that `resource` declares.
    pub fn create(cx: &mut Cx<'_>, resource: &Resource) -> Result<Self, AwsError> {
        let properties: Properties = resource.parse()?;
        properties.check(resource)?;
        let limit = |name| cx.limits.get("dynamodb", name);
        let bytes = |name| usize::try_from(limit(name)).expect("a size fits into memory");
        let limits = ItemLimits {
            item_bytes: bytes("item_size"),
            nesting: limit("nesting"),
            expression_bytes: bytes("expression"),
            partition_key_bytes: bytes("partition_key"),
            sort_key_bytes: bytes("sort_key"),
        };
        let read_half_units = TokenBucket::per_second(2 * limit("ondemand_table_read"), cx.now);
        let read_half_units = read_half_units.scaled(cx.limits.scale("dynamodb"));
        let write_units = cx.limits.bucket("dynamodb", "ondemand_table_write", cx.now);
        let kind = |name: &str| {
            let definition = properties.attribute_definitions.iter().find(|d| d.attribute_name == name);
            definition.map(|d| d.attribute_type.clone()).unwrap_or_default()
        };
        let keys = properties
            .key_schema
            .iter()
            .map(|element| KeyAttribute { kind: kind(&element.attribute_name), name: element.attribute_name.clone() });
        Ok(Table {
            keys: keys.collect(),
            arn: cx.account.arn("dynamodb", &format!("table/{}", properties.table_name)),
            name: properties.table_name,
            id: cx.uuid(),
            created: cx.now,
            deletion_protection: properties.deletion_protection_enabled.unwrap_or(false),
            key: properties.sse_specification.and_then(|sse| sse.kms_master_key_id),
            limits,
            items: BTreeMap::new(),
            before: BTreeMap::new(),
            size_bytes: 0,
            read_half_units,
            write_units,
        })
    }

    /// Takes over what of `resource` can change while the table lives.
    pub fn configure(&mut self, resource: &Resource) -> Result<(), AwsError> {
        let properties: Properties = resource.parse()?;
        properties.check(resource)?;
        self.deletion_protection = properties.deletion_protection_enabled.unwrap_or(false);
        self.key = properties.sse_specification.and_then(|sse| sse.kms_master_key_id);
        Ok(())
    }

    /// Puts an item, or nothing, in the place of what has this key. Answers what was there.
    pub fn replace(&mut self, cx: &mut Cx<'_>, key: &[u8], item: Option<Item>) -> Option<Item> {
        let old = match item {
            Some(item) => self.items.insert(key.to_owned(), item),
            None => self.items.remove(key),
        };
        let memory = cx.memory("dynamodb");
        if memory.is_zero() {
            self.before.clear();
            return old;
        }
        let before = self.before.entry(key.to_owned()).or_default();
        while before.front().is_some_and(|first| first.until + memory < cx.now) {
            before.pop_front();
        }
        before.push_back(Before { until: cx.now, item: old.clone() });
        old
    }

    /// What a read sees that may be answered with what was there so long ago, and whether that is something else than
    /// what is there now.
    pub fn seen(&self, now: Time, key: &[u8], staleness: Option<Duration>) -> (Option<&Item>, bool) {
        let current = self.items.get(key);
        let old = staleness.and_then(|ago| {
            let then = now - ago;
            self.before.get(key)?.iter().find(|before| before.until > then)
        });
        match old {
            Some(old) => {
                (old.item.as_ref(), old.item.as_ref().map(|item| &item.json) != current.map(|item| &item.json))
            }
            None => (current, false),
        }
    }

    /// The key that an item holds, as bytes.
    pub fn key_of_item(&self, item: &Attributes) -> Result<Vec<u8>, AwsError> {
        let invalid = "One or more parameter values were invalid:";
        for key in &self.keys {
            match item.get(&key.name) {
                None => return Err(validation(format!("{invalid} Missing the key {} in the item", key.name))),
                Some(value) if value.type_name() != key.kind => {
                    return Err(validation(format!(
                        "{invalid} Type mismatch for key {} expected: {} actual: {}",
                        key.name,
                        key.kind,
                        value.type_name()
                    )));
                }
                Some(_) => {}
            }
        }
        self.encode(item)
    }

    /// A key on its own, as bytes: it has the key's attributes and no others.
    pub fn key(&self, key: &Attributes) -> Result<Vec<u8>, AwsError> {
        let fits = self.keys.iter().all(|k| key.get(&k.name).is_some_and(|value| value.type_name() == k.kind));
        if !fits || key.len() != self.keys.len() {
            return Err(validation("The provided key element does not match the schema"));
        }
        self.encode(key)
    }

    /// Equal bytes for equal keys, and only for those.
    fn encode(&self, attributes: &Attributes) -> Result<Vec<u8>, AwsError> {
        let mut encoded = Vec::new();
        for (position, key) in self.keys.iter().enumerate() {
            let value = match &attributes[&key.name] {
                AttributeValue::S(text) => text.as_bytes(),
                AttributeValue::N(number) => number.as_str().as_bytes(),
                AttributeValue::B(bytes) => bytes,
                other => unreachable!("a key of type {}", other.type_name()),
            };
            self.check_key_value(position, key, value)?;
            encoded.extend_from_slice(&u32::try_from(value.len()).expect("keys are short").to_be_bytes());
            encoded.extend_from_slice(value);
        }
        Ok(encoded)
    }

    fn check_key_value(&self, position: usize, key: &KeyAttribute, value: &[u8]) -> Result<(), AwsError> {
        if value.is_empty() {
            let what = if key.kind == "B" { "binary" } else { "string" };
            return Err(validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                 empty {what} value. Key: {}",
                key.name
            )));
        }
        let invalid = "One or more parameter values were invalid:";
        // The missing space is in AWS's text.
        match (position, value.len()) {
            (0, n) if n > self.limits.partition_key_bytes => Err(validation(format!(
                "{invalid} Size of hashkey has exceeded the maximum size limit of{} bytes",
                self.limits.partition_key_bytes
            ))),
            (1, n) if n > self.limits.sort_key_bytes => Err(validation(format!(
                "{invalid} Aggregated size of all range keys has exceeded the size limit of {} bytes",
                self.limits.sort_key_bytes
            ))),
            _ => Ok(()),
        }
    }

    fn describe(&self) -> Value {
        let definition = |k: &KeyAttribute| json!({ "AttributeName": k.name, "AttributeType": k.kind });
        let element = |(position, k): (usize, &KeyAttribute)| json!({ "AttributeName": k.name, "KeyType": if position == 0 { "HASH" } else { "RANGE" } });
        json!({
            "AttributeDefinitions": self.keys.iter().map(definition).collect::<Vec<_>>(),
            "TableName": self.name,
            "KeySchema": self.keys.iter().enumerate().map(element).collect::<Vec<_>>(),
            "TableStatus": "ACTIVE",
            "CreationDateTime": self.created.epoch_seconds(),
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0,
            },
            "TableSizeBytes": self.size_bytes,
            "ItemCount": self.items.len(),
            "TableArn": self.arn,
            "TableId": self.id,
            "BillingModeSummary": {
                "BillingMode": "PAY_PER_REQUEST",
                "LastUpdateToPayPerRequestDateTime": self.created.epoch_seconds(),
            },
            "DeletionProtectionEnabled": self.deletion_protection,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeTable {
    table_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListTables {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

impl DynamoDb {
    pub(super) fn describe_table(&mut self, cx: &Cx<'_>, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: DescribeTable = parse("DescribeTable", body)?;
        let given = request.table_name.ok_or_else(|| missing("tableName"))?;
        let table = self.table(cx, Some(&given)).map_err(|error| {
            AwsError::new(error.code, format!("Requested resource not found: Table: {given} not found"))
        })?;
        Ok(json!({ "Table": table.describe() }).to_string().into_bytes())
    }

    pub(super) fn list_tables(&self, body: &[u8]) -> Result<Vec<u8>, AwsError> {
        let request: ListTables = parse("ListTables", body)?;
        let limit = request.limit.unwrap_or(100);
        let limit = usize::try_from(limit).ok().filter(|n| (1..=100).contains(n)).ok_or_else(|| {
            let bound = if limit < 1 { "greater than or equal to 1" } else { "less than or equal to 100" };
            validation(format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
                 Member must have value {bound}"
            ))
        })?;
        let after = request.exclusive_start_table_name.unwrap_or_default();
        let mut names = self.tables.keys().filter(|name| **name > after);
        let page: Vec<&String> = names.by_ref().take(limit).collect();
        let mut answer = json!({ "TableNames": page });
        if names.next().is_some()
            && let Some(last) = page.last()
        {
            answer["LastEvaluatedTableName"] = last.as_str().into();
        }
        Ok(answer.to_string().into_bytes())
    }
}
