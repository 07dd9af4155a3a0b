//! A testee of the official protobuf conformance suite: JSON to wire and wire to JSON by the gateway's transcoder.
//!
//! The suite's runner starts it and speaks length-prefixed `conformance.ConformanceRequest` and `ConformanceResponse`
//! over its standard input and output; `CONFORMANCE_DESCRIPTORS` names a file with the descriptor set of the suite's
//! messages. What a gateway never does (wire to wire, text format) is skipped.

use std::io::{self, Read as _, Write as _};
use std::{env, fs};

use anyhow::Context as _;
use lockgate::schema::Schema;
use lockgate::schema::load::SourceSet;
use lockgate::status::Status;
use lockgate::transcode::decode::{DecodeOptions, Decoder, UnknownFields};
use lockgate::transcode::encode::{EncodeOptions, Encoder};
use lockgate::transcode::plan::Plan;
use prost::Message;

/// `conformance.WireFormat`.
const PROTOBUF: i32 = 1;
const JSON: i32 = 2;

/// `conformance.TestCategory`.
const JSON_IGNORE_UNKNOWN_PARSING_TEST: i32 = 3;

/// `conformance.ConformanceRequest`, as far as it is of use here.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    requested_output_format: i32,
    #[prost(string, tag = "4")]
    message_type: String,
    #[prost(int32, tag = "5")]
    test_category: i32,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(bytes, tag = "1")]
    Protobuf(Vec<u8>),
    #[prost(string, tag = "2")]
    Json(String),
    #[prost(string, tag = "7")]
    Jspb(String),
    #[prost(string, tag = "8")]
    Text(String),
}

/// `conformance.ConformanceResponse`, as far as it is of use here.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(oneof = "Outcome", tags = "1, 2, 3, 4, 5, 6")]
    outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Outcome {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(string, tag = "2")]
    RuntimeError(String),
    #[prost(bytes, tag = "3")]
    Protobuf(Vec<u8>),
    #[prost(string, tag = "4")]
    Json(String),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}

struct Testee {
    schema: Schema,
    plan: Plan,
    decoder: Decoder,
    encoder: Encoder,
}

fn main() -> anyhow::Result<()> {
    let path = env::var("CONFORMANCE_DESCRIPTORS").context("CONFORMANCE_DESCRIPTORS is not set")?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {path}"))?.into();
    let schema = Schema::load(&[SourceSet { origin: path, bytes }]).map_err(|errors| {
        anyhow::anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let plan = Plan::compile(&schema);
    let mut testee = Testee { schema, plan, decoder: Decoder::new(), encoder: Encoder::new() };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let mut request = vec![0; usize::try_from(u32::from_le_bytes(length))?];
        input.read_exact(&mut request)?;
        let outcome = testee.answer(&Request::decode(&*request)?);
        let response = Response { outcome: Some(outcome) }.encode_to_vec();
        output.write_all(&u32::try_from(response.len())?.to_le_bytes())?;
        output.write_all(&response)?;
        output.flush()?;
    }
}

impl Testee {
    fn answer(&mut self, request: &Request) -> Outcome {
        let Some(message) = self.schema.find_message(&request.message_type) else {
            return Outcome::RuntimeError(format!("no message {}", request.message_type));
        };
        let unknown_fields = match request.test_category {
            JSON_IGNORE_UNKNOWN_PARSING_TEST => UnknownFields::Ignore,
            _ => UnknownFields::Reject,
        };
        let mut wire = Vec::new();
        match (&request.payload, request.requested_output_format) {
            (Some(Payload::Protobuf(payload)), JSON) => wire.extend_from_slice(payload),
            (Some(Payload::Json(json)), PROTOBUF | JSON) => {
                let options = DecodeOptions { unknown_fields };
                let decoded = self.decoder.decode(&self.plan, message, json.as_bytes(), &options, &mut wire);
                if let Err(status) = decoded {
                    return Outcome::ParseError(status.to_string());
                }
            }
            _ => return Outcome::Skipped("only JSON to wire and wire to JSON are a gateway's work".to_owned()),
        }
        if request.requested_output_format == PROTOBUF {
            return Outcome::Protobuf(wire);
        }
        let mut json = Vec::new();
        match self.encoder.encode(&self.plan, message, &wire, &EncodeOptions::default(), &mut json) {
            Ok(()) => Outcome::Json(String::from_utf8_lossy(&json).into_owned()),
            Err(status) => failure(&status),
        }
    }
}

/// Bytes that can't be read and values that can't be printed are one and the same to a gateway; the suite tells them
/// apart, but takes either where it expects a failure.
fn failure(status: &Status) -> Outcome {
    Outcome::SerializeError(status.to_string())
}
