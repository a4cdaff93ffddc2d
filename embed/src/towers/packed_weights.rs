//! A matrix as panels of 32 outputs, for products on the CPU in f32, and the FFI to what
//! multiplies by them: `native/panel.cpp`, which needs AVX-512 or AVX2.
#![allow(unsafe_code)]

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{instructions, threads};

const PANEL: i64 = 32;
/// Rows whose inputs stay in the second cache while all panels pass.
const CHUNK: usize = 392;

pub(crate) struct Panels {
    /// `[outputs / PANEL, inputs, PANEL]`, contiguous, f32, in memory.
    numbers: Tensor,
    /// `[outputs]`, the same.
    bias: Option<Tensor>,
    kernel: Kernel,
}

/// `rows` `[count, inputs]` times `panel` `[inputs, PANEL]` plus `bias` `[PANEL]`, which may be
/// null, give the first columns of `output` `[count, outputs]`.
type Kernel = unsafe extern "C" fn(
    rows: *const f32,
    count: i64,
    inputs: i64,
    panel: *const f32,
    bias: *const f32,
    output: *mut f32,
    outputs: i64,
);

/// Those that this processor runs, the fastest first.
#[cfg(target_arch = "x86_64")]
fn kernels() -> impl Iterator<Item = Kernel> {
    macro_rules! kernel {
        ($name:ident) => {{
            unsafe extern "C" {
                fn $name(
                    rows: *const f32,
                    count: i64,
                    inputs: i64,
                    panel: *const f32,
                    bias: *const f32,
                    output: *mut f32,
                    outputs: i64,
                );
            }
            $name as Kernel
        }};
    }
    let avx512 = is_x86_feature_detected!("avx512f") && !instructions::limited_to_avx2();
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let all = [
        (avx512, kernel!(clipdb_panel_avx512)),
        (avx2, kernel!(clipdb_panel_avx2)),
    ];
    all.into_iter()
        .filter_map(|(runs, kernel)| runs.then_some(kernel))
}

#[cfg(not(target_arch = "x86_64"))]
fn kernels() -> impl Iterator<Item = Kernel> {
    std::iter::empty()
}

impl Panels {
    /// `weight` is `[outputs, inputs]`, `bias` `[outputs]`. `None` where LibTorch is to
    /// multiply: elsewhere than on a CPU with one of the kernels, in halves, and where outputs
    /// do not divide into panels.
    pub fn of(weight: &Tensor, bias: Option<&Tensor>) -> tch::Result<Option<Self>> {
        let kernel = kernels().next();
        kernel.map_or(Ok(None), |kernel| Self::for_kernel(kernel, weight, bias))
    }

    fn for_kernel(
        kernel: Kernel,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> tch::Result<Option<Self>> {
        let (outputs, inputs) = weight.size2()?;
        let here = |tensor: &Tensor| tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
        let fits = |bias: &Tensor| here(bias) && bias.size() == [outputs];
        if outputs % PANEL != 0 || !here(weight) || !bias.is_none_or(fits) {
            return Ok(None);
        }
        let numbers = weight
            .f_reshape([outputs / PANEL, PANEL, inputs])?
            .f_transpose(1, 2)?
            .f_contiguous()?;
        let bias = bias.map(Tensor::f_contiguous).transpose()?;
        Ok(Some(Self {
            numbers,
            bias,
            kernel,
        }))
    }

    /// `[outputs, inputs]` again.
    pub fn whole(&self) -> tch::Result<Tensor> {
        let (_, inputs, _) = self.numbers.size3()?;
        self.numbers.f_transpose(1, 2)?.f_reshape([-1, inputs])
    }

    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn multiply(&self, x: &Tensor) -> tch::Result<Tensor> {
        let (panels, inputs, _) = self.numbers.size3()?;
        let outputs = panels * PANEL;
        let rows = x
            .f_to_device(Device::Cpu)?
            .f_to_kind(Kind::Float)?
            .f_reshape([-1, inputs])?
            .f_contiguous()?;
        let count = rows.size2()?.0;
        let mut shape = x.size();
        shape.pop();
        shape.push(outputs);
        let output = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let product = Product {
            kernel: self.kernel,
            rows: start(&rows),
            inputs,
            panels: start(&self.numbers),
            outputs,
            bias: self.bias.as_ref().map_or(std::ptr::null(), start),
            output: start(&output).cast_mut(),
        };
        let count = usize::try_from(count).unwrap_or(0);
        let chunks = count.div_ceil(CHUNK);
        for chunk in 0..chunks {
            let chunk = count * chunk / chunks..count * (chunk + 1) / chunks;
            threads::share_out(usize::try_from(panels).unwrap_or(0), |panel| {
                // SAFETY: all are contiguous f32 in memory: `of` and the lines above make them
                // so, and `reshape` failed unless `rows` is `[count, inputs]`. `output` is new,
                // has `count` rows of `outputs`, nobody else knows it, and each panel writes
                // columns of its own. The processor was asked in `kernels`.
                unsafe { product.panel(&chunk, panel) };
            });
        }
        Ok(output)
    }
}

/// What all parts of a product share: `[count, inputs]` times `[panels, inputs, PANEL]` plus
/// `[outputs]` gives `[count, outputs]`.
struct Product {
    kernel: Kernel,
    rows: *const f32,
    inputs: i64,
    panels: *const f32,
    outputs: i64,
    bias: *const f32,
    output: *mut f32,
}

// SAFETY: what it points to outlives the product, is read, or written at places that no two
// panels share.
unsafe impl Sync for Product {}

impl Product {
    /// # Safety
    /// The pointers are valid for these shapes, `rows` lie within `count` and `panel` within
    /// `panels`, and no other call has the same of both.
    unsafe fn panel(&self, rows: &Range<usize>, panel: usize) {
        let (inputs, outputs) = (self.inputs as usize, self.outputs as usize);
        let first = panel * PANEL as usize;
        // SAFETY: the caller's.
        unsafe {
            let bias = if self.bias.is_null() {
                self.bias
            } else {
                self.bias.add(first)
            };
            (self.kernel)(
                self.rows.add(rows.start * inputs),
                rows.len() as i64,
                self.inputs,
                self.panels.add(first * inputs),
                bias,
                self.output.add(rows.start * outputs + first),
                self.outputs,
            );
        }
    }
}

fn start(tensor: &Tensor) -> *const f32 {
    tensor.data_ptr().cast_const().cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_multiply_as_libtorch_does() {
        tch::manual_seed(7);
        threads::use_threads(2);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        if kernels().next().is_none() {
            println!("not compared: this processor has neither AVX-512 nor AVX2");
        }
        for (kernel, (outputs, inputs)) in
            kernels().flat_map(|kernel| [(32, 1), (96, 7), (160, 64)].map(|size| (kernel, size)))
        {
            let (weight, bias) = (random(&[outputs, inputs]), random(&[outputs]));
            for bias in [Some(&bias), None] {
                let panels = Panels::for_kernel(kernel, &weight, bias).unwrap().unwrap();
                assert_eq!(panels.whole().unwrap(), weight);
                // Whole tiles and parts of them, and more rows than one chunk.
                for rows in (0..30).chain([391, 392, 393, 1000]) {
                    let x = random(&[inputs, 1, rows]).permute([2, 1, 0]);
                    let found = panels.multiply(&x).unwrap();
                    let wanted = x.linear(&weight, bias);
                    assert_eq!(found.size(), [rows, 1, outputs]);
                    assert!(found.allclose(&wanted, 1e-5, 1e-4, false), "{rows} rows");
                }
            }
        }
    }

    #[test]
    fn what_has_no_panels_is_left_to_libtorch() {
        let weight = Tensor::randn([40, 8], (Kind::Float, Device::Cpu));
        assert!(Panels::of(&weight, None).unwrap().is_none());
        let half = Tensor::randn([64, 8], (Kind::Float, Device::Cpu)).to_kind(Kind::Half);
        assert!(Panels::of(&half, None).unwrap().is_none());
    }
}
