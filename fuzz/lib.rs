//! What the fuzz targets share: the schema of the tests' messages, compiled once.
//!
//! README.md says how to run one.

use std::sync::LazyLock;

use bytes::Bytes;
use lockgate::schema::load::SourceSet;
use lockgate::schema::{MessageId, Schema};
use lockgate::transcode::plan::Plan;

/// The descriptors that the integration tests use.
pub const DESCRIPTORS: &[u8] = include_bytes!("../descriptors/test.binpb");

/// Their schema.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = SourceSet { origin: "descriptors/test.binpb".into(), bytes: Bytes::from_static(DESCRIPTORS) };
    Schema::load(&[set]).expect("the checked-in descriptors load")
});

/// Its tables.
pub static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::compile(&SCHEMA));

/// The message with every kind of field.
pub static EVERYTHING: LazyLock<MessageId> =
    LazyLock::new(|| SCHEMA.find_message("lockgate.test.v1.Everything").expect("the tests' messages are in their set"));

/// The proto2 message.
pub static LEGACY: LazyLock<MessageId> =
    LazyLock::new(|| SCHEMA.find_message("lockgate.test.v1.Legacy").expect("the tests' messages are in their set"));

/// Whether JSON has the one field of type NullValue that has no presence. It is null whatever its number, and null is its
/// default, which is left out the second time.
pub fn has_null_value(json: &[u8]) -> bool {
    let has = |key: &[u8]| json.windows(key.len()).any(|window| window == key);
    has(b"\"nullValue\"") || has(b"\"null_value\"")
}
