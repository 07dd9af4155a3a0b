//! `google.protobuf.Any`: a message of the type that its `@type` names, wherever in the object that stands.
//!
//! Where it does not stand first the object is searched for it ahead; the search notes every `@type` that it passes, so
//! that nested `Any`s are never searched again.

use crate::schema::{MessageId, WellKnown};
use crate::transcode::json::{Fault, Next, Read, TypePlace};
use crate::transcode::plan::MessagePlan;

use super::message::Role;
use super::{Pass, UnknownFields, text};

const TYPE_URL_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

impl<'a> Pass<'a> {
    /// Takes an object and appends the content of an `Any`.
    pub(super) fn any(&mut self) -> Read {
        let (Some(b'{'), object, depth) = (self.json.peek(), self.json.at(), self.json.depth()) else {
            return Err(self.json.unexpected("an object"));
        };
        let Some(place) = self.find_type_url()? else {
            return self.json.open(b'{', "an object").map(drop);
        };
        self.json.rewind(place, depth);
        let url = self.json.string("a type URL")?;
        let mut text = std::mem::take(&mut self.scratch.text);
        text.clear();
        url.append(&mut text)?;
        self.out.push(TYPE_URL_TAG);
        text::append_bytes(&text, &mut self.out);
        let known = type_name(&text).map(|name| self.plan.find_type(name));
        self.scratch.text = text;
        let Some(known) = known else {
            return Err(Fault::new(url.at - 1, format!("{} is no type URL", text::shown(url.raw))).under("@type"));
        };
        self.json.rewind(object, depth);
        let start = self.out.len();
        self.out.push(VALUE_TAG);
        match known {
            Some(id) => {
                let slot = self.open_slot();
                self.known_type(id)?;
                self.close_slot(slot);
            }
            None => self.unknown_type(&text::shown(url.raw))?,
        }
        if self.out.ends_with(&[VALUE_TAG, 0]) && self.out.len() == start + 2 {
            self.out.truncate(start);
        }
        Ok(())
    }

    /// The offset of the value of the object's `@type`; `None` for `{}`.
    fn find_type_url(&mut self) -> Read<Option<usize>> {
        let (object, depth) = (self.json.at(), self.json.depth());
        if object >= self.scratch.types_until {
            if !self.json.open(b'{', "an object")? {
                self.json.rewind(object, depth);
                return Ok(None);
            }
            self.json.peek();
            if self.json.take(br#""@type":"#) {
                return Ok(Some(self.json.at()));
            }
            self.json.rewind(object, depth);
            let mut types = std::mem::take(&mut self.scratch.types);
            types.clear();
            let searched = self.json.skip(&mut types);
            types.sort_unstable();
            self.scratch.types = types;
            searched?;
            self.scratch.types_until = self.json.at();
            self.json.rewind(object, depth);
        }
        let types = &self.scratch.types;
        let first = types.partition_point(|place| place.object < object);
        if let Some(TypePlace { value, .. }) = types.get(first).filter(|place| place.object == object) {
            return Ok(Some(*value));
        }
        if self.json.open(b'{', "an object")? {
            return Err(Fault::new(object, "an Any needs its \"@type\""));
        }
        self.json.rewind(object, depth);
        Ok(None)
    }

    /// Takes the object again, as a message of this type.
    fn known_type(&mut self, id: MessageId) -> Read {
        let plan = self.plan.message(id);
        match plan.well_known {
            None | Some(WellKnown::HttpBody) => self.members(plan, Role::InsideAny),
            Some(well_known) => self.enclosed(plan, well_known),
        }
    }

    /// Takes `{"@type": …, "value": …}` with the form of a well-known type inside.
    fn enclosed(&mut self, plan: &'a MessagePlan, well_known: WellKnown) -> Read {
        let object = self.json.at();
        let found = self.type_and_value(UnknownFields::Ignore, |pass| pass.well_known(plan, well_known))?;
        if found || well_known == WellKnown::Empty {
            Ok(())
        } else {
            Err(Fault::new(object, format!("an Any of {} needs a \"value\"", plan.full_name)))
        }
    }

    /// Takes `{"@type": …, "value": "base64"}`.
    fn unknown_type(&mut self, url: &str) -> Read {
        let object = self.json.at();
        let problem = || format!("unknown type {url}: only its bytes in base64 as \"value\" can be taken");
        let read = |pass: &mut Self| pass.quoted("bytes in base64", text::append_base64);
        let found = self.type_and_value(UnknownFields::Reject, read);
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::new(object, problem())),
            Err(fault) => Err(fault.with_text(problem())),
        }
    }

    /// Takes an object of `@type` and `value`; whether there was a value.
    fn type_and_value(&mut self, others: UnknownFields, read: impl FnOnce(&mut Self) -> Read) -> Read<bool> {
        let mut read = Some(read);
        let mut types = 0;
        if !self.json.open(b'{', "an object")? {
            return Ok(false);
        }
        loop {
            let key = self.json.key()?;
            key.check()?;
            if key.is(b"@type") {
                types += 1;
                self.json.string("a type URL")?;
                if types > 1 {
                    return Err(Fault::new(key.at - 1, "the field is there twice").under("@type"));
                }
            } else if key.is(b"value") {
                let Some(read) = read.take() else {
                    return Err(Fault::new(key.at - 1, "the field is there twice").under("value"));
                };
                self.json.peek();
                read(self).map_err(|fault| fault.under("value"))?;
            } else if others == UnknownFields::Ignore && self.options.unknown_fields == UnknownFields::Ignore {
                self.skip()?;
            } else {
                return Err(Fault::new(key.at - 1, "unknown field").under(&String::from_utf8_lossy(key.raw)));
            }
            if self.json.next(b'}')? == Next::End {
                return Ok(read.is_none());
            }
        }
    }
}

/// The full name behind the last `/` of a type URL.
fn type_name(url: &[u8]) -> Option<&str> {
    let (_, name) = std::str::from_utf8(url).ok()?.rsplit_once('/')?;
    let legal = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.split('.').all(legal).then_some(name)
}
