//! Reading records and steps: written by hand, because `serde(flatten)` first copies every field
//! into a buffer, and every event is read by everybody who follows it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Record, StepRecord};

/// Takes the value of a field that may be there once.
fn once<'de, T: Deserialize<'de>, M: MapAccess<'de>>(
    slot: &mut Option<T>,
    name: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    if slot.is_some() {
        return Err(M::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

/// A visitor of a map whose named fields are read in place and whose others are kept.
macro_rules! fields {
    (
        $target:ident, $expecting:literal,
        required { $($field:ident: $wire:literal),* $(,)? }
        optional { $($option:ident: $option_wire:literal),* $(,)? }
    ) => {
        impl<'de> Deserialize<'de> for $target {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> Visitor<'de> for Fields {
                    type Value = $target;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_map<M: MapAccess<'de>>(
                        self,
                        mut map: M,
                    ) -> Result<$target, M::Error> {
                        $(let mut $field = None;)*
                        $(let mut $option = None;)*
                        let mut extra = BTreeMap::new();
                        while let Some(Key(key)) = map.next_key()? {
                            match &*key {
                                $($wire => once(&mut $field, $wire, &mut map)?,)*
                                $($option_wire => once(&mut $option, $option_wire, &mut map)?,)*
                                other => {
                                    let value: Value = map.next_value()?;
                                    extra.insert(other.to_owned(), value);
                                }
                            }
                        }
                        Ok($target {
                            $($field: $field.ok_or_else(|| M::Error::missing_field($wire))?,)*
                            $($option: $option.flatten(),)*
                            extra,
                        })
                    }
                }

                deserializer.deserialize_map(Fields)
            }
        }
    };
}

/// A field's name, borrowed where the text has no escapes.
struct Key<'de>(std::borrow::Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

fields! {
    Record, "a record",
    required {
        v: "v",
        saga_type: "type",
        id: "id",
        n: "n",
        status: "status",
        event: "event",
        definition: "definition",
        request: "request",
        base: "base",
        input: "input",
        steps: "steps",
    }
    optional { cause: "cause" }
}

fields! {
    StepRecord, "the state of a step",
    required { state: "state" }
    optional { output: "output", reason: "reason", by: "by" }
}
