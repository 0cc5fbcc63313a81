//! A quote, byte by byte.

use super::{Answer, refuse};

const INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];

/// What is attested.
pub enum Body<'a> {
    /// 384 bytes.
    Enclave(&'a [u8]),
    /// 584 bytes of TDX 1.0; of 1.5 also the current security versions and the service domains' measurement.
    Domain { report: &'a [u8], current: Option<&'a [u8]>, service: &'a [u8] },
}

pub struct Quote<'a> {
    /// Header and body.
    pub signed: &'a [u8],
    pub body: Body<'a>,
    pub signature: &'a [u8],
    pub attestation_key: &'a [u8],
    pub qe_report: &'a [u8],
    pub qe_signature: &'a [u8],
    pub auth_data: &'a [u8],
    pub certification: u16,
    pub certificates: &'a [u8],
}

/// Cuts bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Answer<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("a quote that ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Answer<u16> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().map_err(|_| "short")?))
    }

    fn u32(&mut self) -> Answer<usize> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| "short")?) as usize)
    }

    fn end(&self) -> Answer<()> {
        if self.0.is_empty() { Ok(()) } else { refuse("bytes that nothing accounts for") }
    }
}

impl<'a> Quote<'a> {
    pub fn read(bytes: &'a [u8]) -> Answer<Self> {
        if bytes.len() > 16_384 {
            return refuse("too long");
        }
        let mut reader = Reader(bytes);
        let header = reader.take(48)?;
        let version = u16::from_le_bytes([header[0], header[1]]);
        let tee = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if header[2..4] != [2, 0] || header[12..28] != INTEL {
            return refuse("not an Intel quote with a key of P-256");
        }
        let body = match (version, tee) {
            (3, 0) => Body::Enclave(reader.take(384)?),
            (4, 0x81) => Body::Domain { report: reader.take(584)?, current: None, service: &[] },
            (5, 0x81) => {
                let (kind, size) = (reader.u16()?, reader.u32()?);
                let body = match (kind, size) {
                    (2, 584) | (3, 648) | (4, 885) => reader.take(size)?,
                    _ => return refuse("a body of another kind or size"),
                };
                let (report, rest) = body.split_at(584);
                match kind {
                    2 => Body::Domain { report, current: None, service: &[] },
                    _ => Body::Domain { report, current: Some(&rest[..16]), service: &rest[16..64] },
                }
            }
            _ => return refuse("no such version for such an enclave"),
        };
        let signed = &bytes[..bytes.len() - reader.0.len()];
        let length = reader.u32()?;
        let mut inner = Reader(reader.take(length)?);
        if reader.0.iter().any(|byte| *byte != 0) {
            return refuse("something behind the quote");
        }
        let (signature, attestation_key) = (inner.take(64)?, inner.take(64)?);
        if version > 3 {
            if inner.u16()? != 6 {
                return refuse("the quoting enclave's report is certified in another way");
            }
            let length = inner.u32()?;
            let wrapped = inner.take(length)?;
            inner.end()?;
            inner = Reader(wrapped);
        }
        let (qe_report, qe_signature) = (inner.take(384)?, inner.take(64)?);
        let length = usize::from(inner.u16()?);
        let auth_data = inner.take(length)?;
        let certification = inner.u16()?;
        let length = inner.u32()?;
        let certificates = inner.take(length)?;
        inner.end()?;
        Ok(Self {
            signed,
            body,
            signature,
            attestation_key,
            qe_report,
            qe_signature,
            auth_data,
            certification,
            certificates,
        })
    }
}

impl Body<'_> {
    pub fn is_domain(&self) -> bool {
        matches!(self, Self::Domain { .. })
    }

    pub fn report_data(&self) -> [u8; 64] {
        let (Self::Enclave(report) | Self::Domain { report, .. }) = self;
        let mut data = [0; 64];
        data.copy_from_slice(&report[report.len() - 64..]);
        data
    }
}
