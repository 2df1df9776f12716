//! A JSON body that says exactly what is wrong with it.

use std::fmt::Write as _;

use poem::http::StatusCode;
use poem::{Request, RequestBody};
use poem_openapi::error::ContentTypeError;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{FieldProblem, Problem};

/// A JSON body, read by serde: a wrong or unknown field is named by its JSON pointer. In the
/// document it looks like [`Json`]. Rules that a type cannot express are the handler's to check.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl<T: Type> Payload for JsonBody<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let (content_type, schema) = (Self::CONTENT_TYPE, Self::schema_ref());
        let content = vec![MetaMediaType { content_type, schema }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        match request.content_type() {
            Some(found) if Self::check_content_type(found) => {}
            Some(found) => {
                return Err(
                    ContentTypeError::NotSupported { content_type: found.to_owned() }.into()
                );
            }
            None => return Err(ContentTypeError::ExpectContentType.into()),
        }
        let bytes = <Vec<u8> as poem::FromRequest>::from_request(request, body).await?;
        Ok(Self(read(&bytes)?))
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::bad_request("bad_request", format!("the body is not JSON: {error}"))
    })?;
    whole(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let detail = error.inner().to_string();
        let pointer = pointer(error.path(), &detail);
        let field = FieldProblem { pointer, code: "invalid".to_owned(), detail };
        let detail = "the body does not have the form that the document describes";
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail);
        Problem { errors: vec![field], ..problem }
    })
}

/// To JSON, `2.0` is as good an integer as `2`.
fn whole(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Object(fields) => fields.values_mut().for_each(whole),
        Value::Number(number) => {
            let text = number.to_string();
            if let Some(Ok(integer)) = text.strip_suffix(".0").map(str::parse::<i64>) {
                *value = integer.into();
            }
        }
        _ => {}
    }
}

/// The path as a JSON pointer. For an unknown or missing field serde names the object; the field
/// stands in the message.
fn pointer(path: &serde_path_to_error::Path, message: &str) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            serde_path_to_error::Segment::Seq { index } => push(&mut pointer, index),
            serde_path_to_error::Segment::Map { key } => {
                push(&mut pointer, &key.replace('~', "~0").replace('/', "~1"));
            }
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
        }
    }
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    if let Some(missing) = missing {
        push(&mut pointer, &missing);
    }
    pointer
}

fn push(pointer: &mut String, segment: &dyn std::fmt::Display) {
    // Writing to a string cannot fail.
    write!(pointer, "/{segment}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[expect(dead_code, reason = "only its type matters")]
        quantity: i64,
    }

    fn pointer_of(body: &str) -> String {
        let problem = read::<Order>(body.as_bytes()).unwrap_err();
        problem.errors.first().map_or(problem.code, |field| field.pointer.clone())
    }

    #[test]
    fn the_wrong_field_is_named() {
        assert_eq!(
            pointer_of(r#"{"lines":[{"quantity":1},{"quantity":"x"}]}"#),
            "/lines/1/quantity"
        );
        assert_eq!(pointer_of(r#"{"lines":[{}]}"#), "/lines/0/quantity");
        assert_eq!(pointer_of(r#"{"lines":[{"quantity":1,"price":0}]}"#), "/lines/0/price");
        assert_eq!(
            pointer_of(r#"{"lines":[{"quantity":99999999999999999999}]}"#),
            "/lines/0/quantity"
        );
        assert_eq!(pointer_of("{"), "bad_request");
        assert_eq!(pointer_of(r#"{"lines":[]} more"#), "bad_request");
        assert_eq!(read::<Order>(br#"{"lines":[{"quantity":2.0}]}"#).unwrap().lines.len(), 1);
        assert_eq!(pointer_of(r#"{"lines":[{"quantity":2.5}]}"#), "/lines/0/quantity");
        assert_eq!(read::<Order>(br#"{"lines":[]}"#).unwrap().lines.len(), 0);
    }
}
