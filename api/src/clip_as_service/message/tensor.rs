//! Arrays of numbers: embeddings in responses, images as tensors in requests.

use bytes::Bytes;
use prost_types::Struct;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::http::error::ApiError;
use clipdb_engine::excerpt;

/// A oneof on the wire; only `dense` is supported.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NdArray {
    #[prost(message, optional, tag = "1")]
    pub dense: Option<DenseNdArray>,
    /// The library whose array type the client creates; an unknown name gives none.
    #[prost(string, tag = "3")]
    pub cls_name: String,
    #[prost(message, optional, tag = "4")]
    pub parameters: Option<Struct>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct DenseNdArray {
    #[prost(bytes = "bytes", tag = "1")]
    pub buffer: Bytes,
    #[prost(uint32, repeated, tag = "2")]
    pub shape: Vec<u32>,
    /// NumPy's name of the type, after its byte order: `<f4`, `|u1`.
    #[prost(string, tag = "3")]
    pub dtype: String,
}

impl NdArray {
    pub fn of_floats(values: &[f32]) -> Self {
        let mut buffer = Vec::with_capacity(4 * values.len());
        for value in values {
            buffer.extend_from_slice(&value.to_le_bytes());
        }
        Self::dense(buffer, vec![values.len() as u32], "<f4")
    }

    fn dense(buffer: Vec<u8>, shape: Vec<u32>, dtype: &str) -> Self {
        Self {
            dense: Some(DenseNdArray {
                buffer: buffer.into(),
                shape,
                dtype: dtype.to_owned(),
            }),
            cls_name: "numpy".to_owned(),
            parameters: None,
        }
    }

    pub fn shape(&self) -> &[u32] {
        self.dense.as_ref().map_or(&[], |dense| &dense.shape)
    }

    /// The values in row-major order.
    ///
    /// # Errors
    /// It is sparse, its type is not supported, or its length does not match its shape.
    pub fn numbers(&self) -> Result<Vec<f64>, ApiError> {
        let wrong = |reason: String| ApiError::InvalidField(format!("the tensor {reason}"));
        let dense = self
            .dense
            .as_ref()
            .ok_or_else(|| wrong("is sparse; send a dense one".to_owned()))?;
        let numbers = dense.read().ok_or_else(|| {
            wrong(format!(
                "has the unsupported type '{}'; send integers ('|u1', '<i4'), \
                 floats ('<f2', '<f4', '<f8') or booleans ('|b1')",
                excerpt(&dense.dtype)
            ))
        })?;
        let announced = dense
            .shape
            .iter()
            .try_fold(1usize, |product, side| product.checked_mul(*side as usize));
        if announced != Some(numbers.len()) {
            return Err(wrong(format!(
                "has {} values, which does not match its shape {:?}",
                numbers.len(),
                dense.shape
            )));
        }
        Ok(numbers)
    }
}

impl DenseNdArray {
    /// The byte order and the type after it.
    fn kind(&self) -> (&str, &str) {
        self.dtype.split_at_checked(1).unwrap_or_default()
    }

    fn read(&self) -> Option<Vec<f64>> {
        let (order, kind) = self.kind();
        let is_big_endian = match order {
            "<" | "|" => false,
            ">" => true,
            _ => return None,
        };
        let numbers = Numbers {
            buffer: &self.buffer,
            is_big_endian,
        };
        Some(match kind {
            "u1" => numbers.each(|[byte]| f64::from(byte)),
            "b1" => numbers.each(|[byte]| f64::from(byte != 0)),
            "i1" => numbers.each(|bytes| f64::from(i8::from_le_bytes(bytes))),
            "u2" => numbers.each(|bytes| f64::from(u16::from_le_bytes(bytes))),
            "i2" => numbers.each(|bytes| f64::from(i16::from_le_bytes(bytes))),
            "u4" => numbers.each(|bytes| f64::from(u32::from_le_bytes(bytes))),
            "i4" => numbers.each(|bytes| f64::from(i32::from_le_bytes(bytes))),
            "u8" => numbers.each(|bytes| u64::from_le_bytes(bytes) as f64),
            "i8" => numbers.each(|bytes| i64::from_le_bytes(bytes) as f64),
            "f2" => numbers.each(|bytes| half(u16::from_le_bytes(bytes))),
            "f4" => numbers.each(|bytes| f64::from(f32::from_le_bytes(bytes))),
            "f8" => numbers.each(f64::from_le_bytes),
            _ => return None,
        })
    }
}

struct Numbers<'a> {
    buffer: &'a [u8],
    is_big_endian: bool,
}

impl Numbers<'_> {
    fn each<const N: usize>(&self, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let numbers = self.buffer.as_chunks::<N>().0.iter();
        numbers
            .map(|bytes| {
                let mut bytes = *bytes;
                if self.is_big_endian {
                    bytes.reverse();
                }
                number(bytes)
            })
            .collect()
    }
}

/// IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    let size = match (bits >> 10) & 0x1f {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction) * 2f64.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// Nested lists in JSON.
impl Serialize for NdArray {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self.numbers().map_err(serde::ser::Error::custom)?;
        let digits = match self.dense.as_ref().map(|dense| dense.kind().1) {
            Some("f2" | "f4") => Digits::Single,
            Some("f8") => Digits::Double,
            _ => Digits::Whole,
        };
        Lists {
            numbers: &numbers,
            shape: self.shape(),
            digits,
        }
        .serialize(serializer)
    }
}

/// A number is written with the digits of its type.
#[derive(Clone, Copy)]
enum Digits {
    Single,
    Double,
    Whole,
}

struct Lists<'a> {
    numbers: &'a [f64],
    shape: &'a [u32],
    digits: Digits,
}

impl Serialize for Lists<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.shape {
            [] | [_] => match self.digits {
                Digits::Single => {
                    serializer.collect_seq(self.numbers.iter().map(|number| *number as f32))
                }
                Digits::Double => serializer.collect_seq(self.numbers),
                Digits::Whole => {
                    serializer.collect_seq(self.numbers.iter().map(|number| *number as i64))
                }
            },
            [rows, rest @ ..] => {
                let row = self.numbers.len() / (*rows).max(1) as usize;
                serializer.collect_seq(self.numbers.chunks(row.max(1)).map(|numbers| Lists {
                    numbers,
                    shape: rest,
                    digits: self.digits,
                }))
            }
        }
    }
}

/// From nested lists: integers from 0 to 255 are an image's bytes, other numbers doubles.
impl<'de> Deserialize<'de> for NdArray {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nested = Nested::deserialize(deserializer)?;
        let (mut numbers, mut shape) = (Vec::new(), Vec::new());
        nested
            .flatten(0, &mut shape, &mut numbers)
            .map_err(D::Error::custom)?;
        let bytes: Option<Vec<u8>> = numbers
            .iter()
            .map(|number| {
                (number.fract() == 0.0 && (0.0..=255.0).contains(number)).then_some(*number as u8)
            })
            .collect();
        Ok(match bytes {
            Some(bytes) => Self::dense(bytes, shape, "|u1"),
            None => {
                let buffer = numbers.iter().flat_map(|number| number.to_le_bytes());
                Self::dense(buffer.collect(), shape, "<f8")
            }
        })
    }
}

enum Nested {
    Number(f64),
    List(Vec<Nested>),
}

impl Nested {
    fn flatten(
        self,
        depth: usize,
        shape: &mut Vec<u32>,
        numbers: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        match self {
            Self::Number(number) if depth == shape.len() => numbers.push(number),
            Self::Number(_) => return Err("the nested lists have different depths"),
            Self::List(items) => {
                let length = items.len() as u32;
                match shape.get(depth) {
                    None if numbers.is_empty() => shape.push(length),
                    Some(known) if *known == length => {}
                    _ => return Err("the nested lists have different lengths"),
                }
                for item in items {
                    item.flatten(depth + 1, shape, numbers)?;
                }
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NestedVisitor;
        impl<'de> Visitor<'de> for NestedVisitor {
            type Value = Nested;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("a number or a list of numbers")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Nested, E> {
                Ok(Nested::Number(f64::from(flag)))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Nested, E> {
                Ok(Nested::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Nested, E> {
                Ok(Nested::Number(number as f64))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Nested, E> {
                Ok(Nested::Number(number as f64))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Nested, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Nested::List(items))
            }
        }
        deserializer.deserialize_any(NestedVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_is_little_endian_floats() {
        let array = NdArray::of_floats(&[1.0, -0.5]);
        let dense = array.dense.as_ref().unwrap();
        assert_eq!(dense.dtype, "<f4");
        assert_eq!(dense.shape, [2]);
        assert_eq!(&dense.buffer[..4], 1.0f32.to_le_bytes());
        assert_eq!(array.numbers().unwrap(), [1.0, -0.5]);
        assert_eq!(serde_json::to_string(&array).unwrap(), "[1.0,-0.5]");
    }

    #[test]
    fn values_are_read_in_every_type_and_byte_order() {
        for (dtype, bytes) in [
            ("|u1", &[0, 7][..]),
            ("|i1", &[0, 7]),
            ("<u2", &[0, 0, 7, 0]),
            (">u2", &[0, 0, 0, 7]),
            ("<f2", &[0, 0, 0x00, 0x47]),
            (">f2", &[0, 0, 0x47, 0x00]),
            (">i4", &[0, 0, 0, 0, 0, 0, 0, 7]),
            (">f4", &[0, 0, 0, 0, 0x40, 0xe0, 0, 0]),
            (
                ">f8",
                &[0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x1c, 0, 0, 0, 0, 0, 0],
            ),
        ] {
            let array = NdArray::dense(bytes.to_vec(), vec![2], dtype);
            assert_eq!(array.numbers().unwrap(), [0.0, 7.0], "{dtype}");
        }
        let flags = NdArray::dense(vec![0, 1], vec![2], "|b1");
        let in_json: NdArray = serde_json::from_str("[false, true]").unwrap();
        assert_eq!(flags.numbers().unwrap(), in_json.numbers().unwrap());
    }

    #[test]
    fn half_precision_floats_are_converted() {
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3800, 0.5),
            (0x5bf8, 255.0),
            (0x0001, 2f64.powi(-24)),
            (0x7c00, f64::INFINITY),
        ] {
            assert_eq!(half(bits), number, "{bits:x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn floats_have_the_digits_of_floats() {
        let json = serde_json::to_string(&NdArray::of_floats(&[0.1])).unwrap();
        assert_eq!(json, "[0.1]");
    }

    #[test]
    fn nested_lists_are_a_tensor() {
        let array: NdArray = serde_json::from_str("[[[0, 255, 7]], [[1, 2, 3]]]").unwrap();
        assert_eq!(array.shape(), [2, 1, 3]);
        assert_eq!(array.dense.as_ref().unwrap().dtype, "|u1");
        let json = serde_json::to_value(&array).unwrap();
        assert_eq!(json, serde_json::json!([[[0, 255, 7]], [[1, 2, 3]]]));
        let floats: NdArray = serde_json::from_str("[0.5, 2]").unwrap();
        assert_eq!(floats.numbers().unwrap(), [0.5, 2.0]);
    }

    #[test]
    fn ragged_lists_are_refused() {
        for json in [
            "[[1, 2], [3]]",
            "[1, [2]]",
            "[[1], 2]",
            "[\"a\"]",
            "[[], [1]]",
        ] {
            assert!(serde_json::from_str::<NdArray>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_shape_that_does_not_match_is_refused() {
        let mut array = NdArray::of_floats(&[1.0, 2.0]);
        if let Some(dense) = &mut array.dense {
            dense.shape = vec![u32::MAX, u32::MAX, u32::MAX];
        }
        assert!(array.numbers().is_err());
        if let Some(dense) = &mut array.dense {
            dense.dtype = "<c8".to_owned();
        }
        assert!(array.numbers().unwrap_err().to_string().contains("<c8"));
        assert!(NdArray::default().numbers().is_err());
    }
}
