//! The port through which mails leave: a relay, or files.

use jetsaga_contracts::http::notification::Channel;
use lettre::message::Mailbox;

use crate::mail::{Mail, MailError};

pub mod file;
#[cfg(test)]
pub(crate) mod relay;
pub mod smtp;

pub use file::FileSink;
pub use smtp::SmtpSink;

/// Why a mail did not leave. What is displayed holds no address: it goes into logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// Not now. It may have left all the same (the answer was lost): it is sent again under the
    /// same Message-ID.
    #[error("{0}")]
    Unavailable(String),
    /// Never: this mail is refused for good, and another try would not change that.
    #[error("{0}")]
    Rejected(String),
}

/// A mail that cannot be written will not be writable later.
impl From<MailError> for SinkError {
    fn from(error: MailError) -> Self {
        Self::Rejected(error.to_string())
    }
}

/// Where mails go.
#[derive(Debug)]
pub enum Sink {
    /// Into files.
    File(FileSink),
    /// To a relay.
    Smtp(SmtpSink),
}

impl Sink {
    /// The channel that it serves.
    pub fn channel(&self) -> Channel {
        match self {
            Self::File(_) => Channel::File,
            Self::Smtp(_) => Channel::Email,
        }
    }

    /// The sender of all mails.
    pub fn from(&self) -> &Mailbox {
        match self {
            Self::File(sink) => sink.from(),
            Self::Smtp(sink) => sink.from(),
        }
    }

    /// Sends mails; one answer per mail, in their order. Sending a mail again is harmless.
    pub async fn deliver(&self, mails: &[Mail]) -> Vec<Result<(), SinkError>> {
        match self {
            Self::File(sink) => sink.deliver(mails).await,
            Self::Smtp(sink) => sink.deliver(mails).await,
        }
    }
}
