//! What differs, for people and for the program that changes it.

use std::fmt;

use serde_json::Value;

/// One stream or consumer that is not as it is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `stream NAME` or `consumer STREAM NAME`.
    pub what: String,
    /// What is to be done about it.
    pub kind: Kind,
}

/// What is to be done about a stream or consumer.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// It is not there.
    Create,
    /// Some settings differ.
    Update(Vec<Difference>),
    /// Some settings differ that cannot be changed.
    Conflict(Vec<Difference>),
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its name in the server's API.
    pub setting: String,
    /// As the server has it; null where it has nothing.
    pub found: Value,
    /// As it is needed.
    pub wanted: Value,
}

/// All that differs; printed, one line for each setting, or a line that says that nothing does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other: streams, then consumers.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, change: Change) {
        self.0.push(change);
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self(changes.into_iter().collect())
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "nothing differs");
        }
        for (number, change) in self.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, differences) = match &self.kind {
            Kind::Create => return write!(f, "create {}", self.what),
            Kind::Update(differences) => ("update", differences),
            Kind::Conflict(differences) => ("cannot update", differences),
        };
        write!(f, "{verb} {}", self.what)?;
        differences.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.setting, self.found, self.wanted)
    }
}

/// A change and the request that makes it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) change: Change,
    /// The subject of the request, after the API's prefix.
    pub(super) subject: String,
    pub(super) request: Value,
}

impl Task {
    /// The change, if it cannot be made.
    pub(super) fn conflict(&self) -> Option<Change> {
        matches!(self.change.kind, Kind::Conflict(_)).then(|| self.change.clone())
    }
}
