//! Stand-in until the module arrives.

/// How fields are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldNames {
    #[default]
    Json,
    Proto,
}

/// How enums are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EnumFormat {
    #[default]
    Name,
    Number,
}

/// How 64-bit integers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int64Format {
    #[default]
    String,
    Number,
}

/// What becomes of fields at their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsetFields {
    #[default]
    Omit,
    Emit,
}
