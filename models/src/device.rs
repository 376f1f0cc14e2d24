//! Where encoders compute: on the CPU with our own kernels, or on a GPU with
//! candle's operations, in builds that have its CUDA or Metal back end.
//!
//! Nothing here is compiled in or out: candle has every device in every build,
//! and those that were not built in answer with an error.

use std::fmt;
use std::str::FromStr;

use candle_core::utils::{cuda_is_available, metal_is_available};
use candle_core::{Device, DeviceLocation, Tensor};

use crate::{Error, ErrorKind, Result};

/// What the configuration says about the device: `auto`, `cpu`, `cuda`, `cuda:1`
/// or `metal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// A GPU where the build has a back end for it and the machine has one; the
    /// CPU elsewhere.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number, counted from 0.
    Cuda(usize),
    /// The first Metal device.
    Metal,
}

impl DeviceChoice {
    /// Name of the device on which encoders run with this choice: `cpu`, `cuda:0`
    /// or `metal`. Opens a GPU and computes on it.
    ///
    /// # Errors
    /// `InvalidInput` for a device that this build lacks, `Machine` for one that
    /// this machine lacks or that does not compute.
    pub fn find(self) -> Result<String> {
        let gpu = self.gpu()?;
        Ok(name(gpu.as_ref().unwrap_or(&Device::Cpu)))
    }

    /// The GPU; `None` if the CPU computes. Errors are those of
    /// [`DeviceChoice::find`].
    pub(crate) fn gpu(self) -> Result<Option<Device>> {
        match self {
            Self::Auto => Ok(first_gpu()),
            Self::Cpu => Ok(None),
            Self::Cuda(number) => cuda(number).map(Some),
            Self::Metal => metal().map(Some),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        Ok(match (text, number) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            ("cuda", _) => Self::Cuda(0),
            ("metal", _) => Self::Metal,
            (_, Some(Ok(number))) => Self::Cuda(number),
            _ => {
                let message =
                    format!("no device is called `{text}`; say auto, cpu, cuda, cuda:1 or metal");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        })
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

/// Name of a device, for reports and errors.
pub(crate) fn name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { .. } => "metal".to_owned(),
    }
}

/// The first GPU that computes. Who built for GPUs expects one, so a machine
/// without is worth a line in the log.
fn first_gpu() -> Option<Device> {
    let cuda = cuda_is_available().then(|| cuda(0));
    let metal = metal_is_available().then(metal);
    [cuda, metal].into_iter().flatten().find_map(|opened| {
        opened
            .inspect_err(|error| tracing::warn!("the CPU is used: {error}"))
            .ok()
    })
}

fn cuda(number: usize) -> Result<Device> {
    if !cuda_is_available() {
        return Err(not_built("CUDA", "cuda"));
    }
    // A stream of its own, not candle's usual one: that is another in every
    // thread, and weights are written by one thread and read by others.
    Device::new_cuda_with_stream(number)
        .and_then(proven)
        .map_err(|cause| {
            let message = format!(
                "CUDA device {number} cannot be used; see what nvidia-smi lists, or set \
                 models.device to \"cpu\""
            );
            Error::new(ErrorKind::Machine, message).because(cause)
        })
}

fn metal() -> Result<Device> {
    if !metal_is_available() {
        return Err(not_built("Metal", "metal"));
    }
    let unusable = || {
        let message = "no Metal device can be used; set models.device to \"cpu\"";
        Error::new(ErrorKind::Machine, message)
    };
    // candle takes the first device of a list that may be empty.
    std::panic::catch_unwind(|| Device::new_metal(0))
        .map_err(|_| unusable())?
        .and_then(proven)
        .map_err(|cause| unusable().because(cause))
}

fn not_built(what: &str, feature: &str) -> Error {
    let message = format!(
        "this build has no {what}; build with --features {feature}, or set models.device to \"cpu\""
    );
    Error::new(ErrorKind::InvalidInput, message)
}

/// The device, once it has computed: kernels are loaded at their first use, and
/// only then does a driver say that it is too old for them.
fn proven(device: Device) -> candle_core::Result<Device> {
    let doubled = (Tensor::new(&[1f32, 2.0], &device)? * 2.0)?.to_vec1::<f32>()?;
    match doubled[..] == [2.0, 4.0] {
        true => Ok(device),
        false => candle_core::bail!("it does not compute"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:0", DeviceChoice::Cuda(0)),
            ("cuda:12", DeviceChoice::Cuda(12)),
            ("metal", DeviceChoice::Metal),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<DeviceChoice>(&json).unwrap(), choice);
        }
        assert_eq!(
            "cuda".parse::<DeviceChoice>().unwrap(),
            DeviceChoice::Cuda(0)
        );
        for wrong in ["", "gpu", "cuda:", "cuda:x", "CUDA", "metal:0"] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
            assert!(error.to_string().contains("cuda:1"), "{error}");
        }
    }

    #[test]
    fn the_cpu_is_always_there_and_computes() {
        assert_eq!(DeviceChoice::Cpu.find().unwrap(), "cpu");
        assert!(proven(Device::Cpu).unwrap().is_cpu());
    }

    #[test]
    fn a_build_without_gpus_says_what_to_build() {
        for (choice, built, advice) in [
            (
                DeviceChoice::Cuda(0),
                cuda_is_available(),
                "--features cuda",
            ),
            (
                DeviceChoice::Metal,
                metal_is_available(),
                "--features metal",
            ),
        ] {
            if !built {
                let error = choice.find().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(error.to_string().contains(advice), "{error}");
            }
        }
        if !cuda_is_available() && !metal_is_available() {
            assert_eq!(DeviceChoice::Auto.find().unwrap(), "cpu");
        }
    }
}
