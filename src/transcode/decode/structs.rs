//! `google.protobuf.Struct`, `Value` and `ListValue`: any JSON at all.
//!
//! Tags are written as the numbers that `google/protobuf/struct.proto` gives.

use crate::schema::Kind;
use crate::transcode::json::{self, Fault, Next, Read, Step};

use super::map::KeyPlace;
use super::{Pass, text};

const FIELDS_TAG: u8 = 0x0a;
const KEY_TAG: u8 = 0x0a;
const ENTRY_VALUE_TAG: u8 = 0x12;
const VALUES_TAG: u8 = 0x0a;
const NULL_TAG: u8 = 0x08;
const NUMBER_TAG: u8 = 0x11;
const STRING_TAG: u8 = 0x1a;
const BOOL_TAG: u8 = 0x20;
const STRUCT_TAG: u8 = 0x2a;
const LIST_TAG: u8 = 0x32;

impl Pass<'_> {
    /// Takes any value and appends the content of a `Value`.
    pub(super) fn value(&mut self) -> Read {
        match self.json.peek() {
            Some(b'n') => {
                self.json.null()?;
                self.out.extend_from_slice(&[NULL_TAG, 0]);
            }
            Some(b't' | b'f') => {
                let value = self.json.boolean()?;
                self.out.extend_from_slice(&[BOOL_TAG, value.into()]);
            }
            Some(b'"') => {
                self.out.push(STRING_TAG);
                self.string()?;
            }
            Some(b'-' | b'0'..=b'9') => {
                let at = self.json.at();
                let number = self.json.number()?;
                let value =
                    json::double(number).ok_or_else(|| Fault::new(at, text::out_of_range(Kind::Double, number)))?;
                self.out.push(NUMBER_TAG);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Some(b'{') => {
                self.out.push(STRUCT_TAG);
                let slot = self.open_slot();
                self.structure()?;
                self.close_slot(slot);
            }
            Some(b'[') => {
                self.out.push(LIST_TAG);
                let slot = self.open_slot();
                self.list_value()?;
                self.close_slot(slot);
            }
            _ => return Err(self.json.unexpected("a value")),
        }
        Ok(())
    }

    /// Takes an object and appends the content of a `Struct`.
    pub(super) fn structure(&mut self) -> Read {
        if !self.json.open(b'{', "an object")? {
            return Ok(());
        }
        let first = self.scratch.keys.len();
        loop {
            self.out.push(FIELDS_TAG);
            let entry = self.open_slot();
            let content = self.out.len();
            let key = self.json.key()?;
            self.out.push(KEY_TAG);
            self.append_text(key)?;
            let length = self.out.len() - content;
            let within = |fault: Fault| fault.below(Step::Key(String::from_utf8_lossy(key.raw).into()));
            self.out.push(ENTRY_VALUE_TAG);
            let slot = self.open_slot();
            self.value().map_err(within)?;
            self.close_slot(slot);
            let start = self.close_slot(entry);
            self.note_key(first, KeyPlace::new(start, length, key.at - 1)).map_err(within)?;
            if self.json.next(b'}')? == Next::End {
                break;
            }
        }
        self.forget_keys(first)
    }

    /// Takes an array and appends the content of a `ListValue`.
    pub(super) fn list_value(&mut self) -> Read {
        if !self.json.open(b'[', "a list")? {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.out.push(VALUES_TAG);
            let slot = self.open_slot();
            self.value().map_err(|fault| fault.below(Step::Index(index)))?;
            self.close_slot(slot);
            index += 1;
            if self.json.next(b']')? == Next::End {
                return Ok(());
            }
        }
    }
}
