//! Mails as files: `<directory>/<effect id>.eml`, which mail programs open.

use std::{
    io,
    path::{Path, PathBuf},
};

use lettre::message::Mailbox;

use super::SinkError;
use crate::mail::Mail;

/// Writes each mail as a file of its own.
#[derive(Debug)]
pub struct FileSink {
    from: Mailbox,
    directory: PathBuf,
}

impl FileSink {
    /// Writes into `directory`, which is made when the first mail is written.
    pub fn new(from: Mailbox, directory: PathBuf) -> Self {
        Self { from, directory }
    }

    /// The sender of all mails.
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// The file of a mail.
    pub fn path(&self, effect_id: &str) -> PathBuf {
        self.directory.join(format!("{effect_id}.eml"))
    }

    /// Writes mails. The same mail again replaces its file by the same bytes.
    pub async fn deliver(&self, mails: &[Mail]) -> Vec<Result<(), SinkError>> {
        let files: Vec<_> = mails.iter().map(|mail| self.file(mail)).collect();
        let (directory, count) = (self.directory.clone(), files.len());
        // One trip to the blocking threads for all of them.
        let written = tokio::task::spawn_blocking(move || write_all(&directory, files)).await;
        written.unwrap_or_else(|_panicked| {
            vec![Err(SinkError::Unavailable("writing mails failed".to_owned())); count]
        })
    }

    fn file(&self, mail: &Mail) -> Result<(PathBuf, Vec<u8>), SinkError> {
        // Ids come from outside: nothing but a plain name may become a file's name.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !mail.effect_id.chars().all(plain) {
            return Err(SinkError::Rejected("the effect id is not a file's name".to_owned()));
        }
        let bytes = mail.message(&self.from)?.formatted();
        Ok((self.path(&mail.effect_id), bytes))
    }
}

fn write_all(
    directory: &Path,
    files: Vec<Result<(PathBuf, Vec<u8>), SinkError>>,
) -> Vec<Result<(), SinkError>> {
    let made = std::fs::create_dir_all(directory).map_err(|error| unavailable(&error));
    let write = |file: Result<(PathBuf, Vec<u8>), SinkError>| {
        let (path, bytes) = file?;
        made.clone()?;
        write_whole(&path, &bytes).map_err(|error| unavailable(&error))
    };
    files.into_iter().map(write).collect()
}

/// Under another name first: whoever lists the directory never sees half a mail.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, path)
}

/// The kind alone: paths of a machine are nobody's business in a list of mails.
fn unavailable(error: &io::Error) -> SinkError {
    SinkError::Unavailable(format!("the mail's file cannot be written: {}", error.kind()))
}
