//! The shadows of devices, over the data plane of AWS IoT.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_iotdataplane::primitives::Blob;
use aws_types::SdkConfig;
use serde_json::Value;

use crate::calls::{CallError, Clock, client};

/// Type of the endpoint of the data plane.
const DATA_ENDPOINT: &str = "iot:Data-ATS";
/// What AWS answers when a thing has no shadow.
const NO_SHADOW: &str = "ResourceNotFoundException";

/// The shadows.
#[derive(Debug)]
pub(super) struct Shadows {
    config: SdkConfig,
    control: aws_sdk_iot::Client,
    /// The client of the data plane, once its endpoint is known. Each account has its own; the SDK does not know it.
    data: Mutex<Option<aws_sdk_iotdataplane::Client>>,
    clock: Clock,
}

impl Shadows {
    /// Shadows by clients of `config`.
    pub fn new(config: SdkConfig, clock: Clock) -> Self {
        let control = client!(aws_sdk_iot, &config);
        Shadows { config, control, data: Mutex::default(), clock }
    }

    /// The document of a device's classic shadow; nothing when it has none.
    pub async fn get(&self, device: &str, deadline: SystemTime) -> Result<Option<Vec<u8>>, CallError> {
        let data = self.data(deadline).await?;
        match self.clock.call(deadline, data.get_thing_shadow().thing_name(device).send()).await {
            Ok(answer) => Ok(answer.payload.map(Blob::into_inner)),
            Err(error) if error.is(NO_SHADOW) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Updates it. With a `version` in the update AWS refuses it when the shadow is not of that version any more.
    pub async fn update(&self, device: &str, update: &Value, deadline: SystemTime) -> Result<(), CallError> {
        let data = self.data(deadline).await?;
        let payload = Blob::new(update.to_string());
        let call = data.update_thing_shadow().thing_name(device).payload(payload).send();
        self.clock.call(deadline, call).await.map(drop)
    }

    async fn data(&self, deadline: SystemTime) -> Result<aws_sdk_iotdataplane::Client, CallError> {
        let known = self.data.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = known {
            return Ok(client);
        }
        let call = self.control.describe_endpoint().endpoint_type(DATA_ENDPOINT).send();
        let answer = self.clock.call(deadline, call).await?;
        let Some(address) = answer.endpoint_address() else {
            return Err(CallError::without_answer("DescribeEndpoint named no endpoint"));
        };
        let config = self.config.to_builder().endpoint_url(format!("https://{address}")).build();
        let client = client!(aws_sdk_iotdataplane, &config);
        *self.data.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }
}
