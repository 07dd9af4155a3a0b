//! ProtoJSON by an implementation that is not ours (prost-reflect): what a message says, and whether two say the same.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(lockgate::pb::DESCRIPTORS).expect("the build's own descriptors are sound"));

fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap_or_else(|| panic!("there is no message {name}"))
}

/// The JSON of a serialized message.
pub(crate) fn json(name: &str, wire: &[u8]) -> Value {
    let message = DynamicMessage::decode(descriptor(name), wire).expect("the backend sees legal messages only");
    message
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .unwrap_or_else(|error| panic!("the oracle can't print {name}: {error}"))
}

/// The wire bytes of a message told as JSON.
#[track_caller]
pub(crate) fn wire(name: &str, json: &str) -> Vec<u8> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor(name), &mut deserializer)
        .unwrap_or_else(|error| panic!("the oracle can't read {json} as {name}: {error}"));
    message.encode_to_vec()
}

/// A JSON text of a message, spelled as the oracle spells it.
#[track_caller]
pub(crate) fn canonical(name: &str, json_text: &str) -> Value {
    json(name, &wire(name, json_text))
}
