//! The `device` block: TOML to a [`Device`], and its matrix to [`Cell`]s.

use super::{
    diagnostic::Flaw,
    document::{Bootloader, Cell, Device, DeviceSpec, Scalar, Skip},
};
use crate::tools;
use std::{collections::BTreeMap, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Keys whose value is a scalar, and which may be axes of the matrix.
const SCALARS: [&str; 8] =
    ["chip", "revision", "idf", "flash", "seed", "bootloader", "partition_table_offset", "strap"];
/// Keys whose value is a table or an array.
const TABLES: [&str; 3] = ["config", "matrix", "skip"];
/// A matrix with more cells than this is refused.
const MAX_CELLS: usize = 256;
/// A value of the matrix with more bytes than this is refused, as it may stand anywhere in the document.
const MAX_VALUE: usize = 64;
/// The largest flash chip that ESP-IDF knows, in bytes.
const MAX_FLASH: u32 = 128 * 1024 * 1024;
const SECTOR: u32 = dryburn::SECTOR;

/// Where the keys of a block stand in the document.
type Places = BTreeMap<String, Range<usize>>;

/// Reads a block whose text starts at byte `offset` of the document and whose opening fence is at `open`.
pub(super) fn read(text: &str, offset: usize, open: Range<usize>) -> Result<(Device, Places), Vec<Flaw>> {
    let mut reader = Reader { offset, flaws: Vec::new(), places: Places::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().map_or(open.clone(), |span| reader.shift(span));
        reader.flaws.push(Flaw::new(span, "the device block is not TOML", error.message()));
    }
    let mut device = Device::default();
    if reader.flaws.is_empty() {
        reader.places.insert(String::new(), open);
        // The matrix is read last: it must not state what stands outside of it.
        let (matrix, rest): (Vec<_>, Vec<_>) =
            in_order(table.get_ref()).into_iter().partition(|(key, _)| *key.get_ref() == "matrix");
        for (key, value) in rest.into_iter().chain(matrix) {
            reader.top(key, value, &mut device);
        }
        reader.check_skips(&device);
    }
    if reader.flaws.is_empty() { Ok((device, reader.places)) } else { Err(reader.flaws) }
}

fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(Spanned<&'t str>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().map(|(k, v)| (Spanned::new(k.span(), k.get_ref().as_ref()), v)).collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Reader {
    offset: usize,
    flaws: Vec<Flaw>,
    places: Places,
}

impl Reader {
    fn shift(&self, span: Range<usize>) -> Range<usize> {
        span.start.saturating_add(self.offset)..span.end.saturating_add(self.offset)
    }

    fn flaw(&mut self, span: Range<usize>, title: impl Into<String>, label: impl Into<String>) {
        let span = self.shift(span);
        self.flaws.push(Flaw::new(span, title, label));
    }

    fn top(&mut self, key: Spanned<&str>, value: &Spanned<DeValue<'_>>, device: &mut Device) {
        let name = *key.get_ref();
        match (name, value.get_ref()) {
            ("config", DeValue::Table(table)) => {
                for (key, value) in in_order(table) {
                    self.config(key, value, device);
                }
            }
            ("matrix", DeValue::Table(table)) => {
                for (key, value) in in_order(table) {
                    self.axis(key, value, device);
                }
            }
            ("skip", DeValue::Array(entries)) => {
                for entry in entries {
                    self.skip(entry, device);
                }
            }
            (name, _) if SCALARS.contains(&name) => {
                if let Some(scalar) = self.scalar(value) {
                    self.places.insert(name.into(), self.shift(value.span()));
                    device.values.insert(name.into(), scalar);
                }
            }
            (name, _) if TABLES.contains(&name) => {
                let wanted = if name == "skip" { "an array of tables" } else { "a table" };
                self.flaw(value.span(), format!("`{name}` is {wanted}"), format!("found {}", kind(value.get_ref())));
            }
            _ => self.unknown(key),
        }
    }

    fn unknown(&mut self, key: Spanned<&str>) {
        let keys: Vec<&str> = SCALARS.into_iter().chain(TABLES).collect();
        let short = Some(*key.get_ref()).filter(|key| key.len() < 32).unwrap_or_default();
        let near = similar::get_close_matches(short, &keys, 1, 0.7);
        let label = near.first().map_or(String::new(), |near| format!("did you mean `{near}`?"));
        let span = self.shift(key.span());
        let title = format!("unknown key `{}` in the device block", key.get_ref());
        self.flaws.push(Flaw::new(span, title, label).help(format!("the keys are {}", keys.join(", "))));
    }

    fn scalar(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Scalar> {
        let scalar = match value.get_ref() {
            DeValue::String(text) => Some(Scalar::Text(text.to_string())),
            DeValue::Boolean(flag) => Some(Scalar::Bool(*flag)),
            DeValue::Integer(int) => i128::from_str_radix(int.as_str(), int.radix())
                .ok()
                .filter(|int| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(int))
                .map(Scalar::Int),
            _ => None,
        };
        if scalar.is_none() {
            let found = format!("found {}", kind(value.get_ref()));
            self.flaw(value.span(), "expected a string, a whole number of at most 64 bits, true or false", found);
        }
        scalar
    }

    fn config(&mut self, key: Spanned<&str>, value: &Spanned<DeValue<'_>>, device: &mut Device) {
        if let Some(name) = key.get_ref().strip_prefix("CONFIG_") {
            let label = format!("write `{name}`");
            self.flaw(key.span(), "names in `config` stand without `CONFIG_`", label);
        } else if let Some(scalar) = self.scalar(value) {
            device.config.insert(key.get_ref().to_string(), scalar);
        }
    }

    fn axis(&mut self, key: Spanned<&str>, value: &Spanned<DeValue<'_>>, device: &mut Device) {
        let name = *key.get_ref();
        let DeValue::Array(array) = value.get_ref() else {
            return self.flaw(
                value.span(),
                format!("`{name}` in the matrix is an array"),
                format!("found {}", kind(value.get_ref())),
            );
        };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            return self.flaw(key.span(), "not a name for an axis", "use letters, digits, `_` and `-`");
        }
        if TABLES.contains(&name) {
            return self.flaw(key.span(), format!("`{name}` cannot be an axis of the matrix"), "");
        }
        if device.values.contains_key(name) {
            return self.flaw(key.span(), format!("`{name}` is stated twice"), "also outside of the matrix");
        }
        let mut values = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for value in array {
            let Some(scalar) = self.scalar(value) else { continue };
            if scalar.to_string().len() > MAX_VALUE {
                self.flaw(value.span(), format!("a value of the matrix has at most {MAX_VALUE} bytes"), "");
            }
            if !seen.insert(scalar.to_string()) {
                self.flaw(value.span(), format!("`{scalar}` is in the matrix twice"), "");
            }
            let place = self.shift(value.span());
            self.places.insert(format!("{name}={scalar}"), place);
            values.push(scalar);
        }
        if array.iter().len() == 0 {
            self.flaw(value.span(), format!("`{name}` in the matrix has no values"), "");
        }
        let cells = device.matrix.iter().try_fold(values.len(), |n, (_, v)| n.checked_mul(v.len()));
        if cells.is_none_or(|n| n > MAX_CELLS) {
            return self.flaw(key.span(), format!("the matrix has more than {MAX_CELLS} cells"), "");
        }
        device.matrix.push((name.into(), values));
    }

    fn skip(&mut self, entry: &Spanned<DeValue<'_>>, device: &mut Device) {
        let DeValue::Table(table) = entry.get_ref() else {
            return self.flaw(entry.span(), "`skip` is an array of tables", format!("found {}", kind(entry.get_ref())));
        };
        let mut when = BTreeMap::new();
        let mut because = None;
        for (key, value) in in_order(table) {
            let place = self.shift(value.span());
            match (*key.get_ref(), self.scalar(value)) {
                ("because", Some(Scalar::Text(reason))) if !reason.trim().is_empty() => because = Some(reason),
                ("because", Some(_)) => self.flaw(value.span(), "`because` is the reason, in words", ""),
                (name, Some(scalar)) => {
                    self.places.insert(format!("skip {} {name}", device.skips.len()), place);
                    when.insert(name.to_string(), scalar);
                }
                (_, None) => {}
            }
        }
        match because {
            Some(because) => device.skips.push(Skip { when, because }),
            None => self.flaw(entry.span(), "a skip without a reason", "add `because = \"…\"`"),
        }
    }

    /// A skip that can never apply would silently skip nothing.
    fn check_skips(&mut self, device: &Device) {
        for (index, skip) in device.skips.iter().enumerate() {
            for (key, value) in &skip.when {
                let axis = device.matrix.iter().find(|(name, _)| name == key);
                let title = match axis {
                    None => format!("`{key}` is not an axis of the matrix"),
                    Some((_, values)) if !values.iter().any(|v| v.to_string() == value.to_string()) => {
                        format!("`{value}` is not a value of `{key}` in the matrix")
                    }
                    Some(_) => continue,
                };
                let span = self.places.get(&format!("skip {index} {key}")).cloned().unwrap_or_default();
                self.flaws.push(Flaw::new(span, title, "this skips nothing"));
            }
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction: write it in quotes",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A value of the device block that cannot be, in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadValue {
    key: &'static str,
    value: Option<String>,
    title: String,
}

impl BadValue {
    /// Where the value stands: in the matrix, above it, or (when it is missing) nowhere but the block.
    pub(super) fn flaw(self, places: &Places) -> Flaw {
        let in_matrix = self.value.and_then(|value| places.get(&format!("{}={value}", self.key)));
        let span = in_matrix.or_else(|| places.get(self.key)).or_else(|| places.get("")).cloned().unwrap_or_default();
        Flaw::new(span, self.title, "")
    }
}

impl Device {
    /// Multiplies the matrix out.
    pub(super) fn cells(&self, partitions: Option<&str>) -> Result<Vec<Cell>, BadValue> {
        let mut combinations: Vec<Vec<(&str, &Scalar)>> = vec![Vec::new()];
        for (key, values) in &self.matrix {
            combinations = combinations
                .into_iter()
                .flat_map(|head| {
                    values.iter().map(move |value| head.iter().copied().chain([(key.as_str(), value)]).collect())
                })
                .collect();
        }
        combinations.into_iter().map(|vars| self.cell(&vars, partitions)).collect()
    }

    fn cell(&self, vars: &[(&str, &Scalar)], partitions: Option<&str>) -> Result<Cell, BadValue> {
        let holds =
            |(key, value): (&String, &Scalar)| vars.iter().any(|(k, v)| k == key && v.to_string() == value.to_string());
        let skip = self.skips.iter().find(|skip| skip.when.iter().all(holds)).map(|skip| skip.because.clone());
        let value = |key: &str| vars.iter().find(|(k, _)| *k == key).map(|(_, v)| *v).or_else(|| self.values.get(key));
        let spec = spec(&value)?;
        let vars = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let mut cell = Cell { vars, spec, skip };
        cell.spec.partitions = partitions.map(|text| cell.fill(text));
        cell.spec.config = self.config.iter().map(|(k, v)| (cell.fill(k), cell.fill_scalar(v))).collect();
        if let Bootloader::File(name) = &cell.spec.bootloader {
            cell.spec.bootloader = Bootloader::File(cell.fill(name));
        }
        Ok(cell)
    }
}

impl Cell {
    fn fill_scalar(&self, scalar: &Scalar) -> Scalar {
        match scalar {
            Scalar::Text(text) => Scalar::Text(self.fill(text)),
            other => other.clone(),
        }
    }
}

/// Reads the scalar keys. `config` and `partitions` are filled in by the caller.
fn spec<'a>(value: &impl Fn(&'static str) -> Option<&'a Scalar>) -> Result<DeviceSpec, BadValue> {
    let bad = |key: &'static str, title: String| BadValue { key, value: value(key).map(Scalar::to_string), title };
    let text = |key| match value(key) {
        None => Ok(None),
        Some(Scalar::Text(text)) if !text.trim().is_empty() => Ok(Some(text.as_str())),
        Some(_) => Err(bad(key, format!("`{key}` is a string"))),
    };
    let size = |key| match value(key) {
        None => Ok(None),
        Some(Scalar::Bool(_)) => Err(bad(key, format!("`{key}` is a size: write 0x10000, \"200K\" or \"4MB\""))),
        Some(scalar) => {
            let size = tools::size(&scalar.to_string()).map_err(|title| bad(key, title))?;
            match u32::try_from(size).ok().filter(|size| *size <= MAX_FLASH && size.is_multiple_of(SECTOR)) {
                Some(size) => Ok(Some(size)),
                None => Err(bad(key, format!("`{key}` is {size:#x}, expected a multiple of {SECTOR:#x} up to 128MB"))),
            }
        }
    };
    let Some(chip) = text("chip")? else {
        return Err(bad("chip", "the device block has no `chip`".into()));
    };
    let chip = chip.parse().map_err(|e| bad("chip", format!("'{chip}': {e}")))?;
    let revision = text("revision")?
        .map(|text| text.parse().map_err(|e| bad("revision", format!("'{text}': {e}"))))
        .transpose()?;
    let idf = text("idf")?;
    let part = |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    if let Some(idf) = idf {
        let parts: Vec<&str> = idf.strip_prefix('v').unwrap_or(idf).split('.').collect();
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(|p| part(p)) {
            return Err(bad("idf", format!("'{idf}': not an ESP-IDF version: write it like 5.4 or 5.1.2")));
        }
    }
    let flash_size = size("flash")?.unwrap_or(4 * 1024 * 1024);
    if flash_size == 0 {
        return Err(bad("flash", "a flash chip of no bytes".into()));
    }
    let partition_table_offset = size("partition_table_offset")?;
    if partition_table_offset.is_some_and(|offset| offset >= flash_size) {
        return Err(bad("partition_table_offset", format!("beyond the flash chip, which ends at {flash_size:#x}")));
    }
    let seed = match value("seed") {
        None => 0,
        Some(Scalar::Int(seed)) => u64::try_from(*seed).map_err(|_| bad("seed", "`seed` is not negative".into()))?,
        Some(_) => return Err(bad("seed", "`seed` is a whole number".into())),
    };
    let bootloader = match text("bootloader")? {
        None => Bootloader::Default,
        Some("none") => Bootloader::None,
        Some(name) => Bootloader::File(name.into()),
    };
    Ok(DeviceSpec {
        chip,
        revision,
        idf: idf.map(String::from),
        flash_size,
        seed,
        config: BTreeMap::new(),
        bootloader,
        partition_table_offset,
        strap: text("strap")?.map(String::from),
        partitions: None,
    })
}
