//! The defects, by what is wrong.

mod documents;
mod quotes;

use super::{Alter, Case};
use crate::common::Form;
use encompute_attest::pki::TdxForm;

const ALL: &[Form] = &Form::ALL;
const SGX: &[Form] = &[Form::Sgx];
const TDX: &[Form] =
    &[Form::Tdx(TdxForm::V4), Form::Tdx(TdxForm::V5), Form::Tdx(TdxForm::V5Td15), Form::Tdx(TdxForm::V5Td15Ex)];
const TD15: &[Form] = &[Form::Tdx(TdxForm::V5Td15), Form::Tdx(TdxForm::V5Td15Ex)];

const CHAIN: &str = "Failed to verify certificate chain";

const fn case(name: &'static str, on: &'static [Form], expected: &'static str, alter: &'static [Alter]) -> Case {
    Case { name, on, alter, expected }
}

/// Every defect.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    quotes::CASES.iter().chain(documents::CASES)
}
