//! Packed weights: a matrix stored as panels of 32 outputs, for f32 products on the CPU, and the
//! FFI to the kernels in `native/panel.cpp`, which need AVX-512 or AVX2.
#![allow(unsafe_code)]

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{instructions, threads};

const PANEL: i64 = 32;
/// Rows per pass over all panels. Their inputs fit the L2 cache.
const CHUNK: usize = 392;

/// A linear layer's weights, packed for products with few rows.
pub struct PackedWeights {
    /// `[outputs / PANEL, inputs, PANEL]`, contiguous f32 in main memory.
    panels: Tensor,
    /// `[outputs]`, contiguous f32 in main memory.
    bias: Option<Tensor>,
    kernel: Kernel,
}

/// Computes `rows`, `[count, inputs]`, times `panel`, `[inputs, PANEL]`, plus `bias`, `[PANEL]` or
/// null. Writes the first `PANEL` columns of `output`, `[count, outputs]`.
type Kernel = unsafe extern "C" fn(
    rows: *const f32,
    count: i64,
    inputs: i64,
    panel: *const f32,
    bias: *const f32,
    output: *mut f32,
    outputs: i64,
);

/// The kernels that this processor can run, fastest first.
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

impl PackedWeights {
    /// Packs `weight`, `[outputs, inputs]`, and `bias`, `[outputs]`. Returns `None` if no kernel
    /// applies and LibTorch has to multiply: on another device than the CPU, in other types than
    /// f32, without AVX2, and if the outputs are no multiple of a panel.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>) -> tch::Result<Option<Self>> {
        let kernel = kernels().next();
        kernel.map_or(Ok(None), |kernel| Self::for_kernel(kernel, weight, bias))
    }

    fn for_kernel(
        kernel: Kernel,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> tch::Result<Option<Self>> {
        let (outputs, inputs) = weight.size2()?;
        let is_f32_on_cpu =
            |tensor: &Tensor| tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
        let fits = |bias: &Tensor| is_f32_on_cpu(bias) && bias.size() == [outputs];
        if outputs % PANEL != 0 || !is_f32_on_cpu(weight) || !bias.is_none_or(fits) {
            return Ok(None);
        }
        let panels = weight
            .f_reshape([outputs / PANEL, PANEL, inputs])?
            .f_transpose(1, 2)?
            .f_contiguous()?;
        let bias = bias.map(Tensor::f_contiguous).transpose()?;
        Ok(Some(Self {
            panels,
            bias,
            kernel,
        }))
    }

    /// The original weight, `[outputs, inputs]`.
    pub fn unpack(&self) -> tch::Result<Tensor> {
        let (_, inputs, _) = self.panels.size3()?;
        self.panels.f_transpose(1, 2)?.f_reshape([-1, inputs])
    }

    /// The bias, `[outputs]`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn multiply(&self, x: &Tensor) -> tch::Result<Tensor> {
        let (panels, inputs, _) = self.panels.size3()?;
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
            panels: start(&self.panels),
            outputs,
            bias: self.bias.as_ref().map_or(std::ptr::null(), start),
            output: start(&output).cast_mut(),
        };
        let count = usize::try_from(count).unwrap_or(0);
        let chunks = count.div_ceil(CHUNK);
        for chunk in 0..chunks {
            let chunk = count * chunk / chunks..count * (chunk + 1) / chunks;
            threads::parallel_for(usize::try_from(panels).unwrap_or(0), |panel| {
                // SAFETY: all tensors are contiguous f32 in main memory, by `for_kernel` and the
                // lines above, and `reshape` guarantees that `rows` is `[count, inputs]`. `output`
                // is new, has `count` rows of `outputs`, and is not shared; each panel writes
                // different columns. `kernels` has checked the processor.
                unsafe { product.panel(&chunk, panel) };
            });
        }
        Ok(output)
    }
}

/// The operands of a product: `[count, inputs]` times `[panels, inputs, PANEL]` plus `[outputs]`
/// is `[count, outputs]`.
struct Product {
    kernel: Kernel,
    rows: *const f32,
    inputs: i64,
    panels: *const f32,
    outputs: i64,
    bias: *const f32,
    output: *mut f32,
}

// SAFETY: the memory behind the pointers outlives the product. It is only read, except `output`,
// of which no two panels write the same elements.
unsafe impl Sync for Product {}

impl Product {
    /// # Safety
    /// The pointers must be valid for these shapes, `rows` must lie within `count` and `panel`
    /// within `panels`, and no concurrent call may have the same rows and panel.
    unsafe fn panel(&self, rows: &Range<usize>, panel: usize) {
        let (inputs, outputs) = (self.inputs as usize, self.outputs as usize);
        let first = panel * PANEL as usize;
        // SAFETY: guaranteed by the caller.
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
    fn products_equal_libtorch_s() {
        tch::manual_seed(7);
        threads::use_threads(2);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let missing = 2 - kernels().count();
        if missing > 0 {
            let reason = format!("{missing} of the AVX-512 and AVX2 kernels do not run here");
            clipdb_skip::report_skip(&reason);
        }
        for (kernel, (outputs, inputs)) in
            kernels().flat_map(|kernel| [(32, 1), (96, 7), (160, 64)].map(|size| (kernel, size)))
        {
            let (weight, bias) = (random(&[outputs, inputs]), random(&[outputs]));
            for bias in [Some(&bias), None] {
                let packed = PackedWeights::for_kernel(kernel, &weight, bias)
                    .unwrap()
                    .unwrap();
                assert_eq!(packed.unpack().unwrap(), weight);
                // Complete and partial tiles, and more rows than one chunk.
                for rows in (0..30).chain([391, 392, 393, 1000]) {
                    let x = random(&[inputs, 1, rows]).permute([2, 1, 0]);
                    let found = packed.multiply(&x).unwrap();
                    let wanted = x.linear(&weight, bias);
                    assert_eq!(found.size(), [rows, 1, outputs]);
                    assert!(found.allclose(&wanted, 1e-5, 1e-4, false), "{rows} rows");
                }
            }
        }
    }

    #[test]
    fn unsupported_weights_are_not_packed() {
        let weight = Tensor::randn([40, 8], (Kind::Float, Device::Cpu));
        assert!(PackedWeights::new(&weight, None).unwrap().is_none());
        let half = Tensor::randn([64, 8], (Kind::Float, Device::Cpu)).to_kind(Kind::Half);
        assert!(PackedWeights::new(&half, None).unwrap().is_none());
    }
}
