//! Wire bytes by hand.

pub(super) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(super) fn tag(number: u32, wire_type: u64) -> Vec<u8> {
    varint(u64::from(number) << 3 | wire_type)
}

pub(super) fn int(number: u32, value: u64) -> Vec<u8> {
    [tag(number, 0), varint(value)].concat()
}

pub(super) fn fixed64(number: u32, value: u64) -> Vec<u8> {
    [tag(number, 1), value.to_le_bytes().to_vec()].concat()
}

pub(super) fn fixed32(number: u32, value: u32) -> Vec<u8> {
    [tag(number, 5), value.to_le_bytes().to_vec()].concat()
}

pub(super) fn double(number: u32, value: f64) -> Vec<u8> {
    fixed64(number, value.to_bits())
}

pub(super) fn float(number: u32, value: f32) -> Vec<u8> {
    fixed32(number, value.to_bits())
}

pub(super) fn bytes(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [tag(number, 2), varint(value.len() as u64), value.to_vec()].concat()
}

pub(super) fn group(number: u32, inside: impl AsRef<[u8]>) -> Vec<u8> {
    [tag(number, 3), inside.as_ref().to_vec(), tag(number, 4)].concat()
}

pub(super) fn entry(number: u32, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(number, [key.as_ref(), value.as_ref()].concat())
}

pub(super) fn any(number: u32, type_url: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(number, [bytes(1, type_url), bytes(2, value)].concat())
}
