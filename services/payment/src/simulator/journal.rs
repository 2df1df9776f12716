//! The provider's memory across restarts: a file of JSON lines.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use super::book::{Book, Entry};

/// Where entries go before they are answered.
#[derive(Debug)]
pub(super) struct Journal(Option<File>);

impl Journal {
    /// Reads what is there into a book. A last line without an end was never answered: it is cut
    /// off.
    pub(super) fn open(path: Option<&Path>) -> io::Result<(Self, Book)> {
        let mut book = Book::default();
        let Some(path) = path else { return Ok((Self(None), book)) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let text = fs::read(path)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for (number, line) in text[..whole].split(|&b| b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let entry = serde_json::from_slice::<Entry>(line).map_err(|error| {
                let what = format!("{}: line {}: {error}", path.display(), number + 1);
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?;
            book.enter(entry);
        }
        file.set_len(u64::try_from(whole).map_err(io::Error::other)?)?;
        Ok((Self(Some(file)), book))
    }

    /// Writes an entry. It survives the end of this process, not a power cut.
    pub(super) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line)
    }
}
