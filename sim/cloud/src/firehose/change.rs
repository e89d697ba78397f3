//! Changes in place and deletions of `AWS::KinesisFirehose::DeliveryStream`.

use serde_json::{Value, json};

use super::config::{Config, SourceConfig};
use super::encryption::permit_key;
use super::properties::Properties;
use super::{Firehose, manage};
use crate::core::ports::{Catalog, Streams};
use crate::core::{AwsError, Cx, Outcome, Provisioned, Resource};

impl Firehose {
    /// Changes a delivery stream in place: destination, tags, and encryption of direct puts. It goes on reading where it
    /// stands. A change of the destination makes a new version of the configuration, effective at once.
    pub fn update(
        &mut self,
        cx: &mut Cx<'_>,
        _: &mut dyn Streams,
        catalog: &mut dyn Catalog,
        resource: &Resource,
        physical_id: &str,
        previous: &Value,
    ) -> Result<Provisioned, AwsError> {
        expect_delivery_stream(resource)?;
        let properties: Properties = resource.parse()?;
        let old: Properties = Resource { properties: previous.clone(), ..resource.clone() }.parse()?;
        let added = manage::tags(&properties.tags)?;
        let config = Config::new(cx, properties)?;
        permit_key(cx, &config.key)?;
        let stream = self.find(cx, physical_id)?;
        if config.name != stream.config.name || !same_source(&config, &stream.config) {
            return Err(resource.refuse("another name or source needs another delivery stream"));
        }
        let mut tags = stream.tags.clone();
        tags.retain(|key, _| !old.tags.iter().any(|tag| tag.key == *key));
        tags.extend(added);
        manage::expect_few(&tags)?;
        let arn = config.arn.clone();
        if json!(config.described) == json!(stream.config.described) {
            stream.config.key = config.key;
        } else {
            config.expect_successor_of(&stream.config)?;
            stream.change(cx, catalog, config)?;
            cx.meter.call("firehose", "UpdateDestination", Outcome::Ok);
        }
        stream.encryption.set(stream.config.key.clone());
        stream.tags = tags;
        Ok(Provisioned::new(physical_id).attribute("Arn", arn))
    }

    /// Deletes a delivery stream at once, with what it has not delivered.
    pub fn delete(
        &mut self,
        cx: &mut Cx<'_>,
        _: &mut dyn Streams,
        _: &mut dyn Catalog,
        resource: &Resource,
        physical_id: &str,
    ) -> Result<(), AwsError> {
        expect_delivery_stream(resource)?;
        if self.remove(cx, physical_id) {
            cx.meter.call("firehose", "DeleteDeliveryStream", Outcome::Ok);
        }
        Ok(())
    }
}

/// Refuses every other type.
pub(super) fn expect_delivery_stream(resource: &Resource) -> Result<(), AwsError> {
    match resource.kind.as_str() {
        "AWS::KinesisFirehose::DeliveryStream" => Ok(()),
        _ => Err(resource.refuse("this resource type is not modelled")),
    }
}

fn same_source(new: &Config, old: &Config) -> bool {
    match (&new.source, &old.source) {
        (SourceConfig::DirectPut { described: new }, SourceConfig::DirectPut { described: old }) => {
            json!(new) == json!(old)
        }
        (SourceConfig::Kinesis { described: new, .. }, SourceConfig::Kinesis { described: old, .. }) => {
            json!(new) == json!(old)
        }
        _ => false,
    }
}
