//! Errors of the framework, as problems.

use poem::error::{MethodNotAllowedError, NotFoundError, ParseJsonError, ReadBodyError};
use poem::http::StatusCode;
use poem_openapi::error::ContentTypeError;

use crate::http::Problem;
use crate::http::problem::{FieldProblem, chain};

/// What any error that a route returned says to a client.
pub(super) fn problem(error: poem::Error) -> Problem {
    match error.downcast::<Problem>() {
        Ok(problem) => problem,
        Err(error) => of_framework(&error),
    }
}

fn of_framework(error: &poem::Error) -> Problem {
    if error.is::<NotFoundError>() {
        return Problem::not_found("not_found", "there is nothing at this path");
    }
    if error.is::<MethodNotAllowedError>() {
        let detail = "this path has other methods: see the header Allow";
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    }
    if error.is::<ContentTypeError>() || error.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        let detail = "the body must be JSON: Content-Type: application/json";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
    }
    if error.is::<ReadBodyError>() || error.is::<ParseJsonError>() {
        return Problem::bad_request("bad_request", "the body could not be read as JSON");
    }
    match error.status() {
        StatusCode::UNAUTHORIZED => {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?")
        }
        status if status.is_client_error() => {
            let text = error.to_string();
            let errors = field(&text).into_iter().collect();
            Problem { errors, ..Problem::new(status, "invalid_request", text) }
        }
        _ => {
            tracing::error!(error = %error_chain(error), "a request failed");
            let detail = "something went wrong on our side; the request id finds it in the log";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }
}

fn error_chain(error: &poem::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), chain)
}

/// The field that a text of the framework names, as best it can be read.
fn field(text: &str) -> Option<FieldProblem> {
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let name = after("field `").and_then(|rest| rest.split('`').next()).map(|it| format!("/{it}"));
    let name = name.or_else(|| {
        after("parameter `").and_then(|rest| rest.split('`').next()).map(str::to_owned)
    });
    let (code, detail) = ("invalid".to_owned(), text.to_owned());
    name.map(|pointer| FieldProblem { pointer, code, detail })
}
