//! What every client of the cluster shares: its configuration, its log, and what a broker's error
//! means to us.

use std::sync::atomic::{AtomicU64, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::pulse::Pulse;
use super::settings::{Settings, Tls};
use crate::bus::{Error, Result};
use crate::config::secret::Secret;
use crate::metrics;

/// The largest batch a producer sends and a topic takes: the largest record with room for headers'
/// and batches' own bytes.
pub(super) const BATCH_BYTES_MAX: u32 = 1_310_720;

/// What to do about a broker's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes, or an operator mends it: wait and go on.
    Retry,
    /// This client is of no use any more: make another.
    Recreate,
    /// The record itself can never be taken.
    Refuse,
}

/// What a broker's error means to us.
pub(super) fn verdict(error: &KafkaError) -> Verdict {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::Fatal | Code::PurgeQueue | Code::PurgeInflight)
        | Some(Code::OutOfOrderSequenceNumber | Code::InvalidProducerEpoch)
        | Some(Code::ProducerFenced | Code::State) => Verdict::Recreate,
        Some(Code::MessageSizeTooLarge | Code::InvalidRecord | Code::InvalidTimestamp)
        | Some(Code::BadMessage | Code::InvalidMessageSize | Code::InvalidArgument) => {
            Verdict::Refuse
        }
        _ => Verdict::Retry,
    }
}

/// What is the same in every client's configuration.
pub(super) fn config(settings: &Settings) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", &settings.client_id)
        .set("allow.auto.create.topics", "false")
        // A broker that came back is found within a second, not ten.
        .set("reconnect.backoff.max.ms", "1000")
        .set("reconnect.backoff.ms", "50")
        // Who was told in the moment of an election that a topic is nowhere asks again after ten
        // seconds, not five minutes.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("socket.keepalive.enable", "true")
        // Most of ours are small, and an emergency waits for nothing.
        .set("socket.nagle.disable", "true")
        .set_log_level(RDKafkaLogLevel::Warning);
    let protocol = match (&settings.tls, &settings.sasl) {
        (None, None) => "plaintext",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), None) => "ssl",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &settings.tls {
        set_tls(&mut config, tls)?;
    }
    if let Some(sasl) = &settings.sasl {
        let (inline, file) = (sasl.password.as_ref(), sasl.password_file.as_deref());
        let password = Secret::resolve("password", inline, file)
            .map_err(|error| Error::Settings(format!("bus.kafka.sasl: {error}")))?;
        config
            .set("sasl.mechanisms", sasl.mechanism.name())
            .set("sasl.username", &sasl.username)
            .set("sasl.password", password.expose().trim());
    }
    Ok(config)
}

fn set_tls(config: &mut ClientConfig, tls: &Tls) -> Result<()> {
    config.set("ssl.endpoint.identification.algorithm", "https");
    if let Some(file) = &tls.ca_file {
        config.set("ssl.ca.location", file.display().to_string());
    }
    if let Some(file) = &tls.certificate_file {
        let key = Secret::resolve("key", tls.key.as_ref(), tls.key_file.as_deref())
            .map_err(|error| Error::Settings(format!("bus.kafka.tls: {error}")))?;
        config.set("ssl.certificate.location", file.display().to_string());
        config.set("ssl.key.pem", key.expose());
    }
    Ok(())
}

/// A client that could not be made: its settings are at fault.
pub(super) fn unmade(error: &KafkaError) -> Error {
    Error::Settings(format!("bus.kafka: {error}"))
}

/// What librdkafka tells us of itself goes to our log.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// How often librdkafka called, so that a poll that ran a callback is told from an empty one.
    pub(super) calls: AtomicU64,
    pub(super) pulse: Pulse,
}

impl Context {
    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.called();
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called();
        say(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.called();
        self.pulse.note(statistics);
    }
}

/// One line of librdkafka's log. Its own severities suit a program whose only task is Kafka.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    if (level as i32) <= RDKafkaLogLevel::Error as i32 {
        tracing::warn!(facility, "kafka: {message}");
    } else {
        tracing::debug!(facility, "kafka: {message}");
    }
}

/// A client that forgot its brokers gets a successor, which takes over so many partitions.
pub(super) fn replaced(kind: &'static str, partitions: usize) {
    metrics::client_replaced(kind);
    tracing::warn!(
        kind,
        partitions,
        "kafka: a client knows no broker any more; another one takes its place"
    );
}

/// An error of a client as a whole. Lost connections come back by themselves.
pub(super) fn say(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
            tracing::debug!(%error, reason, "kafka: a connection was lost");
        }
        _ => tracing::warn!(%error, reason, "kafka: the cluster is in trouble"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_helps() {
        let of = |code| verdict(&KafkaError::MessageProduction(code));
        assert_eq!(of(RDKafkaErrorCode::NotEnoughReplicas), Verdict::Retry);
        assert_eq!(of(RDKafkaErrorCode::MessageTimedOut), Verdict::Retry);
        assert_eq!(of(RDKafkaErrorCode::TopicAuthorizationFailed), Verdict::Retry);
        assert_eq!(of(RDKafkaErrorCode::Fatal), Verdict::Recreate);
        assert_eq!(of(RDKafkaErrorCode::MessageSizeTooLarge), Verdict::Refuse);
        assert_eq!(verdict(&KafkaError::Canceled), Verdict::Retry);
    }

    #[test]
    fn the_password_file_is_read_without_its_line_end() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let mut settings: Settings = toml::from_str(
            "brokers = [\"a:1\"]\n[tls]\n[sasl]\nmechanism = \"scram-sha-512\"\nusername = \"loa\"",
        )
        .expect("it parses");
        let sasl = settings.sasl.as_mut().expect("given");
        sasl.password_file = Some(file.path().to_owned());
        let config = config(&settings).expect("made");
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        settings.sasl.as_mut().expect("given").password_file = Some("/nowhere".into());
        let error = super::config(&settings).expect_err("no such file").to_string();
        assert!(error.contains("bus.kafka.sasl") && error.contains("/nowhere"), "{error}");
    }
}
