//! Operators and the types that they take.

use cel::common::ast::{CallExpr, IdedExpr, operators};

use super::{Checker, time};
use crate::expression::typing::Type;

impl Checker<'_> {
    /// Checks the operator `call` that stands at `node`.
    pub(super) fn operator(&mut self, call: &mut CallExpr, node: &IdedExpr) -> Type {
        let name = call.func_name.clone();
        match call.args.as_mut_slice() {
            [condition, yes, no] if name == operators::CONDITIONAL => self.ternary(condition, yes, no),
            [left, right] => match name.as_str() {
                operators::LOGICAL_AND | operators::LOGICAL_OR => {
                    self.condition(left);
                    self.condition(right);
                    Type::Bool
                }
                operators::EQUALS | operators::NOT_EQUALS => self.equality(left, right),
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                    self.order(left, right)
                }
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO => {
                    self.arithmetic(&name, left, right)
                }
                operators::INDEX => self.index(left, right),
                operators::IN => self.contains(left, right),
                other => self.report(self.range(node), format!("unknown operator {other:?}")),
            },
            [operand] if name == operators::LOGICAL_NOT => {
                self.condition(operand);
                Type::Bool
            }
            [operand] if name == operators::NEGATE => {
                let found = self.check(operand);
                match found.operand() {
                    Type::Int | Type::Double | Type::Dyn => found.operand().clone(),
                    other => self.report(self.range(operand), format!("found {other}, expected int or double")),
                }
            }
            _ => self.report(self.range(node), format!("unknown operator {name:?}")),
        }
    }

    fn ternary(&mut self, condition: &mut IdedExpr, yes: &mut IdedExpr, no: &mut IdedExpr) -> Type {
        self.condition(condition);
        let (left, right) = (self.check(yes), self.check(no));
        if !left.agrees(&right) {
            let message = format!("found {right}, expected {left} as on the other side of the colon");
            return self.report(self.range(no), message);
        }
        left.join(&right)
    }

    fn equality(&mut self, left: &mut IdedExpr, right: &mut IdedExpr) -> Type {
        let (found, other) = (self.check(left), self.check(right));
        let range = self.range(left).start..self.range(right).end;
        if found.holds_message() || other.holds_message() {
            self.report(range, "messages can't be compared: compare their fields".to_owned());
        } else if !found.comparable(&other) {
            self.report(
                range,
                format!(
                    "found {found} and {other}, expected the same type on both sides{}",
                    time::hint(&found, &other)
                ),
            );
        }
        self.charge_in_loop(left, &found);
        Type::Bool
    }

    fn order(&mut self, left: &mut IdedExpr, right: &mut IdedExpr) -> Type {
        let (found, other) = (self.check(left), self.check(right));
        let ordered = |found: &Type| {
            found.is_number()
                || matches!(found.operand(), Type::Bool | Type::String | Type::Bytes | Type::Dyn)
                || matches!(found.operand(), Type::Timestamp | Type::Duration)
        };
        if !ordered(&found) || !ordered(&other) || !found.operand().comparable(other.operand()) {
            let range = self.range(left).start..self.range(right).end;
            let message = match time::hint(&found, &other) {
                "" => format!(
                    "found {found} and {other}, expected two numbers, strings, bytes, bools, timestamps or durations"
                ),
                hint => format!("found {found} and {other}, expected the same type on both sides{hint}"),
            };
            self.report(range, message);
        }
        self.charge_in_loop(left, &found);
        Type::Bool
    }

    fn arithmetic(&mut self, operator: &str, left: &mut IdedExpr, right: &mut IdedExpr) -> Type {
        let (found, other) = (self.check(left), self.check(right));
        let (found, other) = (found.operand().clone(), other.operand().clone());
        let adds = operator == operators::ADD;
        let of_times = adds || operator == operators::SUBSTRACT;
        if let Some(result) = time::arithmetic(adds, &found, &other).filter(|_| of_times) {
            return result;
        }
        let takes = |found: &Type| match found {
            Type::Dyn | Type::Int | Type::Uint => true,
            Type::Double => operator != operators::MODULO,
            Type::String | Type::Bytes | Type::List(_) => operator == operators::ADD,
            _ => false,
        };
        if !takes(&found) || !takes(&other) || !found.agrees(&other) && !both_lists(&found, &other) {
            let expected = match operator {
                operators::ADD | operators::SUBSTRACT if has_time(&found, &other) => {
                    "a timestamp and a duration, or two durations"
                }
                operators::ADD => "two numbers of the same type, strings, bytes or lists",
                operators::MODULO => "two ints or two uints",
                _ => "two numbers of the same type",
            };
            let range = self.range(left).start..self.range(right).end;
            return self.report(range, format!("found {found} and {other}, expected {expected}"));
        }
        for (node, found) in [(left, &found), (right, &other)] {
            // Putting together copies, in a loop or not.
            if !found.is_small() && operator == operators::ADD {
                super::charge(node);
            }
        }
        match (found, other) {
            (Type::List(left), Type::List(right)) => Type::list(left.join(&right)),
            (Type::Dyn, other) => other,
            (found, _) => found,
        }
    }

    fn index(&mut self, container: &mut IdedExpr, index: &mut IdedExpr) -> Type {
        let (found, by) = (self.check(container), self.check(index));
        match found.operand() {
            Type::List(of) => {
                if !matches!(by.operand(), Type::Int | Type::Uint | Type::Dyn) {
                    self.report(self.range(index), format!("found {by}, expected int as the index of a list"));
                }
                (**of).clone()
            }
            Type::Map(key, value) => {
                if !key.comparable(&by) {
                    self.report(self.range(index), format!("found {by}, expected {key} as the key of {found}"));
                }
                (**value).clone()
            }
            Type::Dyn => Type::Dyn,
            other => self.report(self.range(container), format!("found {other}, expected a list or a map")),
        }
    }

    fn contains(&mut self, element: &mut IdedExpr, container: &mut IdedExpr) -> Type {
        let (found, over) = (self.check(element), self.check(container));
        let of = match over.operand() {
            Type::List(of) | Type::Map(of, _) => Some(&**of),
            Type::Dyn => None,
            other => {
                let message = format!("found {other}, expected a list or a map behind \"in\"");
                self.report(self.range(container), message);
                None
            }
        };
        if let Some(of) = of {
            if found.holds_message() || of.holds_message() {
                self.report(self.range(element), "messages can't be compared: use exists()".to_owned());
            } else if !of.comparable(&found) {
                self.report(self.range(element), format!("found {found}, expected {of}: it is looked for in {over}"));
            }
        }
        self.charge_in_loop(container, &over);
        Type::Bool
    }
}

fn has_time(left: &Type, right: &Type) -> bool {
    [left, right].iter().any(|side| matches!(side, Type::Timestamp | Type::Duration))
}

fn both_lists(left: &Type, right: &Type) -> bool {
    matches!((left, right), (Type::List(_), Type::List(_)))
}
