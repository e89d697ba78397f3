//! Numbers of a session.

use std::time::Duration;

/// Numbers of a session. Choices of this simulator unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Keep-alive that CONNECT announces. AWS IoT Core allows 30 to 1,200 s.
    pub keep_alive: Duration,
    /// A connection that has sent nothing for so long sends a PINGREQ. Less than `keep_alive`.
    pub ping_after: Duration,
    /// Longest wait for a PINGRESP.
    pub ping_timeout: Duration,
    /// Longest wait for a PUBACK. The connection is given up then: MQTT 3.1.1 repeats a packet on a new one only.
    pub ack_timeout: Duration,
    /// Longest wait from the start of a connect to its CONNACK.
    pub connect_timeout: Duration,
    /// Back-off before the n-th reconnect in a row is drawn from 0 to this times 2^n ("full jitter").
    pub backoff_base: Duration,
    /// Largest range of that draw.
    pub backoff_max: Duration,
    /// Publishes that may wait for their PUBACK. AWS IoT Core takes up to 100.
    pub in_flight_max: u16,
    /// Publishes a second. AWS IoT Core discards what exceeds 100 a second and connection.
    pub publishes_per_second: u32,
    /// Publishes that may follow one another without a pause.
    pub publish_burst: u32,
    /// Readings that a device keeps until they are acknowledged.
    pub queue_max: usize,
    /// First connects of all devices of a run, a second. AWS IoT Core takes 3,000 CONNECTs a second and account in its
    /// large Regions, and 100 elsewhere.
    pub connects_per_second: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            keep_alive: Duration::from_secs(60),
            ping_after: Duration::from_secs(45),
            ping_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            in_flight_max: 20,
            publishes_per_second: 80,
            publish_burst: 10,
            queue_max: 10_000,
            connects_per_second: 400,
        }
    }
}
