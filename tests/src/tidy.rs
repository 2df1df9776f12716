//! The repository checks itself: rules about where things lie and how they are written.
//!
//! Every check is a function from a [`Tree`] (or from the workspace's metadata) to findings, so
//! that a unit test beside it can show, with a bad sample, that the check is able to fail. The
//! suite `tests/it/tidy.rs` runs them all over the real repository.

pub mod arrows;
pub mod errors;
pub mod features;
pub mod layout;
pub mod manifests;
pub mod markdown;
pub mod metrics;
pub mod settings;
pub mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thing that is not as it should be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A path from the repository's root, with the line where that helps: `a/b.rs:12`.
    pub place: String,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Finding {
    /// A finding at a path, or at `path:line`.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The repository's files: every path, and the text of those that are text.
#[derive(Debug, Default)]
pub struct Tree {
    paths: BTreeSet<String>,
    sources: Vec<Source>,
}

/// A text file.
#[derive(Debug)]
pub struct Source {
    /// Its path from the root, with forward slashes.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl Source {
    /// The lines with their numbers, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether the file's name ends in this extension (without the dot).
    pub fn is(&self, extension: &str) -> bool {
        extension_of(&self.path) == Some(extension)
    }
}

fn extension_of(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(|extension| extension.to_str())
}

/// Folders that hold no file of ours: build output, run-time data, other people's code.
const FOREIGN: [&str; 3] = ["target", "data", "node_modules"];
/// Hidden entries that are ours; every other one belongs to somebody's editor.
const HIDDEN: [&str; 3] = [".ci", ".gitignore", ".spectral.yaml"];

impl Tree {
    /// Reads everything below the repository's root.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        Ok(tree)
    }

    /// A tree made up for a test of a check.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add((*path).to_owned(), Some((*text).to_owned()));
        }
        tree
    }

    /// Whether a file or folder of this path exists.
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path.trim_end_matches('/'))
    }

    /// The names of what lies directly in a folder (`""` is the root).
    pub fn entries<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.paths.iter().filter_map(move |path| {
            let name = match folder {
                "" => path.as_str(),
                folder => path.strip_prefix(folder)?.strip_prefix('/')?,
            };
            (!name.contains('/')).then_some(name)
        })
    }

    /// Every path, folders included.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Every text file.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.sources.iter().find(|source| source.path == path).map(|source| source.text.as_str())
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_str());
            if hidden || FOREIGN.contains(&name.as_str()) {
                continue;
            }
            let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                self.walk(&entry.path(), &path)?;
            } else if let Some(bytes) = read_if_there(&entry.path())? {
                self.add(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, text: Option<String>) {
        let mut folder = path.as_str();
        while let Some((parent, _)) = folder.rsplit_once('/') {
            self.paths.insert(parent.to_owned());
            folder = parent;
        }
        self.paths.insert(path.clone());
        self.sources.extend(text.map(|text| Source { path, text }));
    }
}

/// A file that vanished since its folder was listed is none.
fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The repository's root, from where this package lies.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
