//! The products behind the catalog service: what may be stored, and how it is found and changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tonic::Code;

use super::details::{Failure, Violations};
use super::page::{self, Page, PageRequest};
use super::{fingerprint, mask, seed};
use crate::pb::google::api::HttpBody;
use crate::pb::shop::catalog::v1::{
    Availability, Category, ListProductsRequest, Product, ProductOrder, RestockProductRequest, UpdateProductRequest,
};

const MAX_PRODUCTS: usize = 10_000;
const MAX_PICTURES: usize = 64;
const MAX_STOCK: i32 = 10_000;
const MAX_TITLE_CHARACTERS: usize = 200;
const MAX_TAGS: usize = 16;
const MAX_LABELS: usize = 32;
const MAX_ID_BYTES: usize = 60;
/// 10 million euros.
const MAX_PRICE_CENTS: i64 = 1_000_000_000;

const RESOURCE_TYPE: &str = "shop.catalog.v1.Product";
const CHANGEABLE: [&str; 10] = [
    "title",
    "description",
    "price_cents",
    "availability",
    "tags",
    "labels",
    "attributes",
    "rating",
    "weight_kg",
    "delivery_time",
];
const OUTPUT_ONLY: [&str; 6] = ["name", "stock", "picture_digest", "created_at", "updated_at", "etag"];

/// All products and their pictures.
#[derive(Debug)]
pub(crate) struct Shelf {
    products: BTreeMap<String, Product>,
    pictures: HashMap<String, HttpBody>,
    /// Counts changes; the next etag.
    revision: u64,
}

impl Shelf {
    pub(crate) fn seeded() -> Self {
        let products = seed::products().into_iter().map(|product| (product.name.clone(), product)).collect();
        Self { products, pictures: HashMap::new(), revision: 1 }
    }

    pub(crate) fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    pub(crate) fn categories(&self) -> Vec<Category> {
        let category = |&(name, title): &(&str, &str)| {
            let prefix = format!("{name}/");
            let count = self.products.keys().filter(|product| product.starts_with(&prefix)).count();
            let product_count = i32::try_from(count).unwrap_or(i32::MAX);
            Category { name: name.to_owned(), title: title.to_owned(), product_count }
        };
        seed::CATEGORIES.iter().map(category).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Product, Failure> {
        self.products.get(name).ok_or_else(|| Failure::not_found(RESOURCE_TYPE, name))
    }

    fn find_mut(&mut self, name: &str) -> Result<&mut Product, Failure> {
        self.products.get_mut(name).ok_or_else(|| Failure::not_found(RESOURCE_TYPE, name))
    }

    pub(crate) fn list(&self, request: &ListProductsRequest) -> Result<Page<Product>, Failure> {
        if !request.parent.is_empty() {
            check_category(&request.parent)?;
        }
        let question = ListProductsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page =
            PageRequest { size: request.page_size, token: &request.page_token, question: page::question(&question) };
        let query = request.query.to_lowercase();
        let mut found: Vec<&Product> =
            self.products.values().filter(|product| matches(product, request, &query)).collect();
        match request.order_by() {
            ProductOrder::Unspecified => {}
            ProductOrder::PriceAscending => found.sort_by_key(|product| product.price_cents),
            ProductOrder::PriceDescending => found.sort_by_key(|product| Reverse(product.price_cents)),
        }
        let Page { items, next_token, total } = page.cut(found)?;
        Ok(Page { items: items.into_iter().cloned().collect(), next_token, total })
    }

    pub(crate) fn create(&mut self, parent: &str, id: &str, product: Product) -> Result<Product, Failure> {
        check_category(parent)?;
        let mut violations = Violations::default();
        let id = if id.is_empty() { id_of(&product.title) } else { id.to_owned() };
        if id.len() > MAX_ID_BYTES || !id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            let description = format!("an id is 1 to {MAX_ID_BYTES} lower-case letters, digits and hyphens");
            violations.add("productId", "MALFORMED", description);
        }
        if !(0..=MAX_STOCK).contains(&product.stock) {
            violations.add("product.stock", "OUT_OF_RANGE", format!("a stock is 0 to {MAX_STOCK} pieces"));
        }
        check(&product, &mut violations);
        violations.finish()?;
        let name = format!("{parent}/products/{id}");
        if self.products.contains_key(&name) {
            return Err(Failure::already_exists(RESOURCE_TYPE, &name, "there is a product of this name"));
        }
        if self.products.len() >= MAX_PRODUCTS {
            let description = "the demo has no room for another product";
            return Err(Failure::exhausted("products", description, Duration::from_secs(60)));
        }
        let now = Some(Timestamp::from(SystemTime::now()));
        let etag = self.next_etag();
        let picture_digest = Vec::new();
        let mut product =
            Product { name: name.clone(), created_at: now, updated_at: now, etag, picture_digest, ..product };
        settle(&mut product);
        self.products.insert(name, product.clone());
        Ok(product)
    }

    pub(crate) fn update(&mut self, request: UpdateProductRequest) -> Result<Product, Failure> {
        let new = request.product.unwrap_or_default();
        let mut violations = Violations::default();
        let paths = mask::paths(request.update_mask.as_ref(), &CHANGEABLE, &OUTPUT_ONLY, &mut violations);
        let mut product = self.find(&new.name)?.clone();
        if !new.etag.is_empty() && new.etag != product.etag {
            return Err(Failure::new(Code::Aborted, "the product has changed since it was read")
                .with_reason("ETAG_MISMATCH", &[("sent", &new.etag), ("current", &product.etag)]));
        }
        for path in paths {
            if merge(&mut product, &new, path).is_none() {
                violations.add("updateMask", "UNKNOWN_FIELD", format!("`{path}` is not a field that can be changed"));
            }
        }
        check(&product, &mut violations);
        violations.finish()?;
        self.store(product)
    }

    pub(crate) fn restock(&mut self, request: &RestockProductRequest) -> Result<Product, Failure> {
        if request.quantity < 1 {
            return Err(Failure::invalid("quantity", "OUT_OF_RANGE", "at least one piece must come"));
        }
        let mut product = self.find(&request.name)?.clone();
        if product.stock.saturating_add(request.quantity) > MAX_STOCK {
            let description = format!("the shelf has room for {MAX_STOCK} pieces of a product");
            let failure = Failure::exhausted(&product.name, &description, Duration::from_secs(30));
            return Err(failure.with_reason("SHELF_FULL", &[("stock", &product.stock.to_string())]));
        }
        product.stock += request.quantity;
        self.store(product)
    }

    pub(crate) fn delete(&mut self, name: &str) -> Result<(), Failure> {
        self.find(name)?;
        self.products.remove(name);
        self.pictures.remove(name);
        Ok(())
    }

    /// Takes pieces off the shelf, all or none, and answers with their products.
    pub(crate) fn take(&mut self, wanted: &[(&str, i32)]) -> Result<Vec<Product>, Failure> {
        let mut taken = Vec::with_capacity(wanted.len());
        let mut short = Vec::new();
        for (name, quantity) in wanted {
            let product = self.find(name)?;
            match product.availability() {
                Availability::Discontinued => {
                    short.push(("DISCONTINUED", (*name).to_owned(), "it is no longer sold".to_owned()));
                }
                _ if product.stock < *quantity => {
                    let description = format!("{quantity} were asked for, {} are there", product.stock);
                    short.push(("STOCK", (*name).to_owned(), description));
                }
                _ => taken.push(Product { stock: product.stock - quantity, ..product.clone() }),
            }
        }
        if !short.is_empty() {
            return Err(Failure::precondition("not all of this can be had", short));
        }
        taken.into_iter().map(|product| self.store(product)).collect()
    }

    /// Puts pieces back. A product that is gone by now is passed over.
    pub(crate) fn put_back(&mut self, pieces: &[(&str, i32)]) {
        for (name, quantity) in pieces {
            if let Ok(product) = self.find_mut(name) {
                product.stock = product.stock.saturating_add(*quantity).min(MAX_STOCK);
                settle(product);
            }
        }
    }

    pub(crate) fn picture(&self, name: &str) -> Option<&HttpBody> {
        self.pictures.get(name)
    }

    /// Stores a picture and answers with its digest.
    pub(crate) fn set_picture(&mut self, name: &str, picture: HttpBody) -> Result<Vec<u8>, Failure> {
        let product = self.find(name)?.clone();
        if self.pictures.len() >= MAX_PICTURES && !self.pictures.contains_key(name) {
            let description = "the demo has no room for another picture";
            return Err(Failure::exhausted("pictures", description, Duration::from_secs(60)));
        }
        let digest = fingerprint::of(&picture.data).to_be_bytes().to_vec();
        self.store(Product { picture_digest: digest.clone(), ..product })?;
        self.pictures.insert(name.to_owned(), picture);
        Ok(digest)
    }

    /// Stores the changed state of a product that is there.
    fn store(&mut self, mut product: Product) -> Result<Product, Failure> {
        product.updated_at = Some(SystemTime::now().into());
        product.etag = self.next_etag();
        settle(&mut product);
        product.clone_into(self.find_mut(&product.name)?);
        Ok(product)
    }

    fn next_etag(&mut self) -> String {
        self.revision += 1;
        format!("r{}", self.revision)
    }
}

/// Availability follows from the stock, unless the product is no longer sold.
fn settle(product: &mut Product) {
    let availability = match (product.availability(), product.stock) {
        (Availability::Discontinued, _) => Availability::Discontinued,
        (_, 0) => Availability::SoldOut,
        _ => Availability::InStock,
    };
    product.set_availability(availability);
}

fn check_category(name: &str) -> Result<(), Failure> {
    if seed::CATEGORIES.iter().any(|(category, _)| *category == name) {
        return Ok(());
    }
    Err(Failure::not_found("shop.catalog.v1.Category", name))
}

fn check(product: &Product, violations: &mut Violations) {
    if product.title.trim().is_empty() {
        violations.add("product.title", "REQUIRED", "a title must not be empty");
    } else if product.title.chars().count() > MAX_TITLE_CHARACTERS {
        violations.add("product.title", "TOO_LONG", format!("a title has at most {MAX_TITLE_CHARACTERS} characters"));
    }
    if !(0..=MAX_PRICE_CENTS).contains(&product.price_cents) {
        violations.add("product.priceCents", "OUT_OF_RANGE", format!("a price is 0 to {MAX_PRICE_CENTS} cents"));
    }
    if product.rating.is_some_and(|rating| !(1.0..=5.0).contains(&rating)) {
        violations.add("product.rating", "OUT_OF_RANGE", "a rating is 1 to 5");
    }
    if product.weight_kg.is_some_and(|weight| !weight.is_finite() || weight < 0.0) {
        violations.add("product.weightKg", "OUT_OF_RANGE", "a weight is not negative");
    }
    if product.tags.len() > MAX_TAGS {
        violations.add("product.tags", "TOO_MANY", format!("there are at most {MAX_TAGS} tags"));
    }
    if product.labels.len() > MAX_LABELS {
        violations.add("product.labels", "TOO_MANY", format!("there are at most {MAX_LABELS} labels"));
    }
}

/// The id that a title gives: its letters and digits in lower case, hyphens for what stands between them.
fn id_of(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    id.truncate(MAX_ID_BYTES);
    if id.is_empty() { "product".to_owned() } else { id }
}

fn matches(product: &Product, request: &ListProductsRequest, query: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(query);
    let in_category = request.parent.is_empty()
        || product.name.strip_prefix(request.parent.as_str()).is_some_and(|rest| rest.starts_with('/'));
    let soon_enough = |limit: prost_types::Duration| {
        product.delivery_time.is_some_and(|time| (time.seconds, time.nanos) <= (limit.seconds, limit.nanos))
    };
    in_category
        && (has(&product.title) || has(&product.description) || product.tags.iter().any(|tag| has(tag)))
        && request.min_price_cents.is_none_or(|price| product.price_cents >= price)
        && request.max_price_cents.is_none_or(|price| product.price_cents <= price)
        && (request.availability.is_empty() || request.availability.contains(&product.availability))
        && request.labels.iter().all(|(key, value)| product.labels.get(key) == Some(value))
        && request.max_delivery_time.is_none_or(soon_enough)
}

/// Copies one path; `None` where it does not lead to a field.
fn merge(product: &mut Product, new: &Product, path: &str) -> Option<()> {
    match path {
        "title" => product.title.clone_from(&new.title),
        "description" => product.description.clone_from(&new.description),
        "price_cents" => product.price_cents = new.price_cents,
        "availability" => product.availability = new.availability,
        "tags" => product.tags.clone_from(&new.tags),
        "labels" => product.labels.clone_from(&new.labels),
        "attributes" => product.attributes.clone_from(&new.attributes),
        "rating" => product.rating = new.rating,
        "weight_kg" => product.weight_kg = new.weight_kg,
        "delivery_time" => product.delivery_time = new.delivery_time,
        _ => return None,
    }
    Some(())
}
