//! The answer to a creation.

use tonic::Response;
use tonic::metadata::MetadataValue;

/// What was made: over REST its status is 201, and `location` leads to it.
pub(crate) fn created<T>(message: T, location: &str) -> Response<T> {
    let mut response = Response::new(message);
    response.metadata_mut().insert("x-http-code", MetadataValue::from_static("201"));
    if let Ok(location) = MetadataValue::try_from(location) {
        response.metadata_mut().insert("location", location);
    }
    response
}
