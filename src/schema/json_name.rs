//! The JSON name of a field that declares none.

/// The name in lowerCamelCase, by protoc's rule: an underscore goes and the letter behind it becomes upper case;
/// nothing else changes.
pub(crate) fn lower_camel_case(name: &str) -> String {
    let mut json_name = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                upper = false;
                json_name.push(letter.to_ascii_uppercase());
            }
            _ => json_name.push(letter),
        }
    }
    json_name
}
