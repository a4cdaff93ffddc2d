//! The descriptions of tensors in a checkpoint's pickle.
//!
//! A pickle is a program for a stack machine that may call any Python function. This interpreter
//! calls nothing. It recognises only the names that state dictionaries use, and treats everything
//! else as an opaque value.

use std::collections::HashMap;

/// A description of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// `FloatStorage` and so on.
    pub storage: String,
    /// The name of the entry with its data.
    pub key: String,
    /// In elements, not bytes.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// The index of a value.
type Id = usize;

#[derive(Debug, Clone)]
enum Value {
    Opaque,
    Number(i64),
    Text(String),
    Global(String),
    Sequence(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    Storage { kind: String, key: String },
    Tensor(Stored),
}

struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// The tensors of a state dictionary by name. The dictionary may be an entry `state_dict` or `model`
/// of the checkpoint.
pub(super) fn tensors(code: &[u8]) -> Result<HashMap<String, Stored>, String> {
    let mut machine = Machine {
        code,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let top = machine.run()?;
    let inside = ["state_dict", "model"]
        .iter()
        .find_map(|name| machine.item(top, name));
    for dictionary in std::iter::once(top).chain(inside) {
        let found = machine.tensors_of(dictionary);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err("it has no dictionary of tensors".to_owned())
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            let instruction = self.byte()?;
            match instruction {
                // STOP
                b'.' => return self.pop(),
                // PROTO
                0x80 => {
                    self.take(1)?;
                }
                // FRAME
                0x95 => {
                    self.take(8)?;
                }
                // MARK
                b'(' => self.marks.push(self.stack.len()),
                // POP, DUP
                b'0' => {
                    self.pop()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                // NONE, NEWTRUE, NEWFALSE
                b'N' | 0x88 | 0x89 => self.push(Value::Opaque),
                // BININT, BININT1, BININT2, LONG1, BINFLOAT
                b'J' => {
                    let bytes = self.array::<4>()?;
                    self.push(Value::Number(i32::from_le_bytes(bytes).into()));
                }
                b'K' => {
                    let [number] = self.array()?;
                    self.push(Value::Number(number.into()));
                }
                b'M' => {
                    let bytes = self.array::<2>()?;
                    self.push(Value::Number(u16::from_le_bytes(bytes).into()));
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Opaque);
                }
                // BINUNICODE, SHORT_BINUNICODE, and BINSTRING's three
                b'X' | b'T' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length as usize)?;
                }
                0x8c | b'U' => {
                    let [length] = self.array()?;
                    self.text(length.into())?;
                }
                // BINBYTES, SHORT_BINBYTES
                b'B' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.take(length as usize)?;
                    self.push(Value::Opaque);
                }
                b'C' => {
                    let [length] = self.array()?;
                    self.take(length.into())?;
                    self.push(Value::Opaque);
                }
                // GLOBAL, STACK_GLOBAL
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(format!("{module} {name}")));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let global = match (&self.values[module], &self.values[name]) {
                        (Value::Text(module), Value::Text(name)) => format!("{module} {name}"),
                        _ => return Err("it has an invalid name".to_owned()),
                    };
                    self.push(Value::Global(global));
                }
                // EMPTY_DICT, EMPTY_LIST, EMPTY_SET, EMPTY_TUPLE
                b'}' => self.push(Value::Dictionary(Vec::new())),
                b']' | 0x8f | b')' => self.push(Value::Sequence(Vec::new())),
                // TUPLE, LIST, TUPLE1 to TUPLE3
                b't' | b'l' => {
                    let items = self.marked()?;
                    self.push(Value::Sequence(items));
                }
                0x85..=0x87 => {
                    let count = usize::from(instruction - 0x84);
                    let start = self.stack.len().checked_sub(count).ok_or_else(corrupt)?;
                    let items = self.stack.split_off(start);
                    self.push(Value::Sequence(items));
                }
                // SETITEM, SETITEMS, DICT
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.marked()?;
                    self.set(&items)?;
                }
                b'd' => {
                    let items = self.marked()?;
                    self.push(Value::Dictionary(Vec::new()));
                    self.set(&items)?;
                }
                // APPEND, APPENDS, ADDITEMS
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.marked()?;
                    self.append(&items)?;
                }
                // BINPUT, LONG_BINPUT, MEMOIZE; BINGET, LONG_BINGET
                b'q' => {
                    let [place] = self.array()?;
                    let top = self.top()?;
                    self.memo.insert(place.into(), top);
                }
                b'r' => {
                    let place = u32::from_le_bytes(self.array()?);
                    let top = self.top()?;
                    self.memo.insert(place, top);
                }
                0x94 => {
                    let top = self.top()?;
                    self.memo.insert(self.memo.len() as u32, top);
                }
                b'h' => {
                    let [place] = self.array()?;
                    self.recall(place.into())?;
                }
                b'j' => {
                    let place = u32::from_le_bytes(self.array()?);
                    self.recall(place)?;
                }
                // BINPERSID
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id);
                    self.push(storage);
                }
                // REDUCE, NEWOBJ
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let result = self.call(callable, arguments);
                    self.push(result);
                }
                // BUILD: sets attributes of the object below, which are ignored.
                b'b' => {
                    self.pop()?;
                }
                other => {
                    return Err(format!(
                        "it has the instruction {other:#04x}, which checkpoints do not use"
                    ));
                }
            }
        }
    }

    /// The result of a call, if the function is known.
    fn call(&self, callable: Id, arguments: Id) -> Value {
        let (Value::Global(name), Value::Sequence(arguments)) =
            (&self.values[callable], &self.values[arguments])
        else {
            return Value::Opaque;
        };
        match (name.as_str(), arguments.as_slice()) {
            ("collections OrderedDict", []) => Value::Dictionary(Vec::new()),
            ("torch._utils _rebuild_parameter", [tensor, ..]) => self.values[*tensor].clone(),
            ("torch._utils _rebuild_tensor_v2", [storage, offset, shape, stride, ..]) => self
                .tensor(*storage, *offset, *shape, *stride)
                .map_or(Value::Opaque, Value::Tensor),
            _ => Value::Opaque,
        }
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, stride: Id) -> Option<Stored> {
        let Value::Storage { kind, key } = &self.values[storage] else {
            return None;
        };
        Some(Stored {
            storage: kind.clone(),
            key: key.clone(),
            offset: self.number(offset)?,
            shape: self.numbers(shape)?,
            stride: self.numbers(stride)?,
        })
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", 12)`
    fn storage(&self, id: Id) -> Value {
        let Value::Sequence(parts) = &self.values[id] else {
            return Value::Opaque;
        };
        let part = |number: usize| parts.get(number).map(|id| &self.values[*id]);
        match (part(0), part(1), part(2)) {
            (Some(Value::Text(what)), Some(Value::Global(kind)), Some(Value::Text(key)))
                if what == "storage" =>
            {
                Value::Storage {
                    kind: kind.rsplit(' ').next().unwrap_or_default().to_owned(),
                    key: key.clone(),
                }
            }
            _ => Value::Opaque,
        }
    }

    fn number(&self, id: Id) -> Option<usize> {
        match self.values[id] {
            Value::Number(number) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    fn numbers(&self, id: Id) -> Option<Vec<usize>> {
        match &self.values[id] {
            Value::Sequence(items) => items.iter().map(|item| self.number(*item)).collect(),
            _ => None,
        }
    }

    fn item(&self, dictionary: Id, wanted: &str) -> Option<Id> {
        let Value::Dictionary(items) = &self.values[dictionary] else {
            return None;
        };
        let is_wanted = |key: Id| matches!(&self.values[key], Value::Text(name) if name == wanted);
        items
            .iter()
            .find(|(key, _)| is_wanted(*key))
            .map(|(_, value)| *value)
    }

    fn tensors_of(&self, dictionary: Id) -> HashMap<String, Stored> {
        let Value::Dictionary(items) = &self.values[dictionary] else {
            return HashMap::new();
        };
        let tensor = |(key, value): &(Id, Id)| match (&self.values[*key], &self.values[*value]) {
            (Value::Text(name), Value::Tensor(tensor)) => Some((name.clone(), tensor.clone())),
            _ => None,
        };
        items.iter().filter_map(tensor).collect()
    }

    /// Adds alternating keys and values to the dictionary on top.
    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        if let Value::Dictionary(entries) = &mut self.values[top] {
            let (pairs, _) = items.as_chunks::<2>();
            entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        if let Value::Sequence(all) = &mut self.values[top] {
            all.extend(items);
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(corrupt)
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(corrupt)
    }

    fn marked(&mut self) -> Result<Vec<Id>, String> {
        let start = self.marks.pop().ok_or_else(corrupt)?;
        if start > self.stack.len() {
            return Err(corrupt());
        }
        Ok(self.stack.split_off(start))
    }

    fn recall(&mut self, place: u32) -> Result<(), String> {
        let id = self.memo.get(&place).copied().ok_or_else(corrupt)?;
        self.stack.push(id);
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// Pushes an integer of any length. One beyond 64 bits becomes opaque.
    fn long(&mut self) -> Result<(), String> {
        let [length] = self.array()?;
        let bytes = self.take(length.into())?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut bytes_of_value = [if negative { 0xff } else { 0 }; 8];
        let value = match bytes_of_value.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Number(i64::from_le_bytes(bytes_of_value))
            }
            None => Value::Opaque,
        };
        self.push(value);
        Ok(())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.code[self.at..];
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(corrupt)?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| corrupt())
    }

    fn take(&mut self, length: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(length).ok_or_else(corrupt)?;
        let taken = self.code.get(self.at..end).ok_or_else(corrupt)?;
        self.at = end;
        Ok(taken)
    }
}

fn corrupt() -> String {
    "its description of the tensors is corrupt".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_called_and_nothing_panics() {
        // os.system("echo"), the start of an attack.
        let evil = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.";
        assert_eq!(
            tensors(evil).unwrap_err(),
            "it has no dictionary of tensors"
        );
        for code in [
            b"".as_slice(),
            b".",
            b"u.",
            b"h\x07.",
            b"X\xff\xff\xff\xffa",
            b"(0t.",
        ] {
            assert!(tensors(code).is_err(), "{code:?}");
        }
    }
}
