//! What the shop starts with: always the same, so that every example in the documentation works on it.

use std::collections::BTreeMap;

use prost_types::{Duration, Struct, Timestamp, Value, value};

use super::orders::{describe, total_cents};
use crate::pb::shop::catalog::v1::{Availability, Product};
use crate::pb::shop::orders::v1::payment::{Card, Invoice, Method};
use crate::pb::shop::orders::v1::{Order, OrderEvent, OrderLine, OrderStatus, Payment};
use crate::pb::shop::users::v1::{Address, User, UserStatus};

/// Resource names and titles of all categories.
pub(crate) const CATEGORIES: [(&str, &str); 4] = [
    ("categories/books", "Books and maps"),
    ("categories/games", "Games and puzzles"),
    ("categories/garden", "Garden and balcony"),
    ("categories/kitchen", "Kitchen and table"),
];

/// 2 March 2026, 09:00 UTC; everything else is told from here.
const OPENING: i64 = 1_772_442_000;
const DAY: i64 = 24 * 3600;

struct UserSeed {
    id: &'static str,
    name: &'static str,
    status: UserStatus,
    phone: Option<&'static str>,
    newsletter: Option<bool>,
    points: i64,
    tier: &'static str,
    /// Street, city, postal code, country.
    address: [&'static str; 4],
    theme: &'static str,
}

const USERS: [UserSeed; 6] = [
    UserSeed {
        id: "amara",
        name: "Amara Nwosu",
        status: UserStatus::Active,
        phone: Some("+49 30 5550 142"),
        newsletter: Some(true),
        points: 1840,
        tier: "gold",
        address: ["Lindenweg 7", "Berlin", "10115", "DE"],
        theme: "dark",
    },
    UserSeed {
        id: "elin",
        name: "Elin Sørensen",
        status: UserStatus::Active,
        phone: None,
        newsletter: Some(false),
        points: 320,
        tier: "basic",
        address: ["Havnegade 21", "Aarhus", "8000", "DK"],
        theme: "light",
    },
    UserSeed {
        id: "jonas",
        name: "Jonas Keller",
        status: UserStatus::Suspended,
        phone: Some(""),
        newsletter: None,
        points: -150,
        tier: "basic",
        address: ["Seestrasse 88", "Zürich", "8002", "CH"],
        theme: "light",
    },
    UserSeed {
        id: "mira",
        name: "Mira Costa",
        status: UserStatus::Active,
        phone: Some("+351 21 555 0173"),
        newsletter: Some(true),
        points: 9_007_199_254_740_993,
        tier: "gold",
        address: ["Rua das Flores 12", "Porto", "4050-262", "PT"],
        theme: "dark",
    },
    UserSeed {
        id: "tomas",
        name: "Tomáš Dvořák",
        status: UserStatus::Active,
        phone: None,
        newsletter: None,
        points: 0,
        tier: "basic",
        address: ["Kozí 5", "Praha", "110 00", "CZ"],
        theme: "light",
    },
    UserSeed {
        id: "yuki",
        name: "小林 由紀",
        status: UserStatus::Active,
        phone: Some("+81 3 5550 0199"),
        newsletter: Some(true),
        points: 560,
        tier: "silver",
        address: ["神保町 1-3", "東京", "101-0051", "JP"],
        theme: "dark",
    },
];

struct ProductSeed {
    category: &'static str,
    id: &'static str,
    title: &'static str,
    description: &'static str,
    price_cents: i64,
    stock: i32,
    tags: &'static [&'static str],
    origin: &'static str,
    rating: Option<f64>,
    weight_kg: Option<f32>,
    delivery_hours: i64,
    attributes: &'static [(&'static str, Attribute)],
}

#[derive(Clone, Copy)]
enum Attribute {
    Text(&'static str),
    Number(f64),
    Flag(bool),
    List(&'static [&'static str]),
}

#[rustfmt::skip]
const PRODUCTS: [ProductSeed; 14] = [
    ProductSeed {
        category: "books", id: "field-guide-to-lichens", title: "A Field Guide to Lichens",
        description: "Two hundred species with keys, drawings and where to look for them.",
        price_cents: 3450, stock: 41, tags: &["nature", "reference"], origin: "uk",
        rating: Some(4.7), weight_kg: Some(0.62), delivery_hours: 48,
        attributes: &[("pages", Attribute::Number(368.0)), ("languages", Attribute::List(&["en"])), ("hardcover", Attribute::Flag(false))],
    },
    ProductSeed {
        category: "books", id: "night-trains", title: "Night Trains of Europe",
        description: "Timetables, stories and a large map of every line that still runs.",
        price_cents: 2890, stock: 17, tags: &["travel", "maps"], origin: "de",
        rating: Some(4.4), weight_kg: Some(0.8), delivery_hours: 24,
        attributes: &[("pages", Attribute::Number(224.0)), ("languages", Attribute::List(&["de", "en", "fr"])), ("hardcover", Attribute::Flag(true))],
    },
    ProductSeed {
        category: "books", id: "tide-tables", title: "Tide Tables 2026",
        description: "High and low water for 120 harbours of the North Sea and the Atlantic.",
        price_cents: 1290, stock: 250, tags: &["sea", "reference"], origin: "pt",
        rating: None, weight_kg: Some(0.2), delivery_hours: 24,
        attributes: &[("pages", Attribute::Number(96.0)), ("waterproof", Attribute::Flag(true))],
    },
    ProductSeed {
        category: "games", id: "harbour-lights", title: "Harbour Lights",
        description: "A board game for two to five about bringing ships home before the fog.",
        price_cents: 3990, stock: 28, tags: &["board game", "family", "sea"], origin: "dk",
        rating: Some(4.1), weight_kg: Some(1.35), delivery_hours: 48,
        attributes: &[("players", Attribute::Text("2-5")), ("minutes", Attribute::Number(60.0))],
    },
    ProductSeed {
        category: "games", id: "orrery-puzzle", title: "Orrery, a puzzle of 1000 pieces",
        description: "The planets in brass, after an engraving of 1794.",
        price_cents: 2450, stock: 0, tags: &["puzzle"], origin: "uk",
        rating: Some(3.9), weight_kg: Some(0.9), delivery_hours: 72,
        attributes: &[("pieces", Attribute::Number(1000.0))],
    },
    ProductSeed {
        category: "games", id: "travel-chess", title: "Magnetic Travel Chess",
        description: "Folds to the size of a postcard; no piece is ever lost.",
        price_cents: 1990, stock: 75, tags: &["chess", "travel"], origin: "cz",
        rating: Some(4.8), weight_kg: None, delivery_hours: 24,
        attributes: &[("players", Attribute::Text("2")), ("magnetic", Attribute::Flag(true))],
    },
    ProductSeed {
        category: "garden", id: "bird-feeder", title: "Feeder for Small Birds",
        description: "Larch and slate, with a roof that keeps the seeds dry.",
        price_cents: 4490, stock: 12, tags: &["birds", "wood"], origin: "ch",
        rating: Some(4.5), weight_kg: Some(1.8), delivery_hours: 72,
        attributes: &[("material", Attribute::List(&["larch", "slate"]))],
    },
    ProductSeed {
        category: "garden", id: "mint-seeds", title: "Mint Seeds, Five Kinds",
        description: "For tea, for cooking, and for the bees. Sow from March.",
        price_cents: 590, stock: 900, tags: &["seeds", "tea"], origin: "pt",
        rating: Some(4.0), weight_kg: Some(0.02), delivery_hours: 24,
        attributes: &[("organic", Attribute::Flag(true)), ("sow", Attribute::List(&["march", "april", "may"]))],
    },
    ProductSeed {
        category: "garden", id: "watering-can", title: "Watering Can, Five Litres",
        description: "Zinc, with a long spout and a brass rose.",
        price_cents: 3800, stock: 33, tags: &["metal"], origin: "de",
        rating: None, weight_kg: Some(1.1), delivery_hours: 48,
        attributes: &[("litres", Attribute::Number(5.0))],
    },
    ProductSeed {
        category: "kitchen", id: "cast-iron-teapot", title: "Cast-Iron Teapot",
        description: "Keeps a litre of tea warm for an hour; enamelled inside.",
        price_cents: 5900, stock: 19, tags: &["tea", "metal"], origin: "jp",
        rating: Some(4.9), weight_kg: Some(1.6), delivery_hours: 48,
        attributes: &[("litres", Attribute::Number(1.0)), ("dishwasher", Attribute::Flag(false))],
    },
    ProductSeed {
        category: "kitchen", id: "pepper-mill", title: "Pepper Mill \"Nº 3\"",
        description: "Beech & steel, adjustable from powder to <coarse>.",
        price_cents: 3200, stock: 54, tags: &["wood", "spices"], origin: "fr",
        rating: Some(4.3), weight_kg: Some(0.35), delivery_hours: 24,
        attributes: &[("height_cm", Attribute::Number(18.5))],
    },
    ProductSeed {
        category: "kitchen", id: "sencha", title: "Sencha, 100 g",
        description: "Green tea of the first harvest, grassy and a little sweet.",
        price_cents: 1450, stock: 140, tags: &["tea"], origin: "jp",
        rating: Some(4.6), weight_kg: Some(0.12), delivery_hours: 24,
        attributes: &[("harvest", Attribute::Text("2026-04")), ("organic", Attribute::Flag(true))],
    },
    ProductSeed {
        category: "kitchen", id: "tea-towels", title: "Linen Towels, Set of Three",
        description: "Washed linen in grey, ochre and blue.",
        price_cents: 2700, stock: 61, tags: &["linen", "textile"], origin: "pt",
        rating: Some(4.2), weight_kg: Some(0.4), delivery_hours: 24,
        attributes: &[("colors", Attribute::List(&["grey", "ochre", "blue"]))],
    },
    ProductSeed {
        category: "kitchen", id: "welcome-card", title: "Welcome Card",
        description: "A card with the recipe of the month. It costs nothing.",
        price_cents: 0, stock: 5000, tags: &["gift"], origin: "pt",
        rating: None, weight_kg: Some(0.0), delivery_hours: 24,
        attributes: &[],
    },
];

struct OrderSeed {
    id: &'static str,
    user: &'static str,
    /// The state that it has reached.
    status: OrderStatus,
    day: i64,
    /// Ids of [`PRODUCTS`], and pieces.
    lines: &'static [(&'static str, i32)],
    payment: PaymentSeed,
    note: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum PaymentSeed {
    Card,
    Invoice,
    Voucher,
}

#[rustfmt::skip]
const ORDERS: [OrderSeed; 6] = [
    OrderSeed { id: "1001", user: "amara", status: OrderStatus::Delivered, day: 10, lines: &[("night-trains", 1), ("sencha", 2)], payment: PaymentSeed::Card, note: None },
    OrderSeed { id: "1002", user: "mira", status: OrderStatus::Cancelled, day: 14, lines: &[("bird-feeder", 1)], payment: PaymentSeed::Voucher, note: Some("") },
    OrderSeed { id: "1003", user: "yuki", status: OrderStatus::Placed, day: 20, lines: &[("cast-iron-teapot", 1), ("tea-towels", 1)], payment: PaymentSeed::Card, note: Some("Ring twice, please.") },
    OrderSeed { id: "1004", user: "mira", status: OrderStatus::Shipped, day: 21, lines: &[("tide-tables", 3), ("welcome-card", 1)], payment: PaymentSeed::Invoice, note: None },
    OrderSeed { id: "1005", user: "elin", status: OrderStatus::Packed, day: 22, lines: &[("harbour-lights", 1), ("travel-chess", 1), ("mint-seeds", 4)], payment: PaymentSeed::Card, note: None },
    OrderSeed { id: "1006", user: "tomas", status: OrderStatus::Paid, day: 23, lines: &[("pepper-mill", 2)], payment: PaymentSeed::Invoice, note: None },
];

/// Every account with its preferences.
pub(crate) fn users() -> Vec<(User, Struct)> {
    let days = (0..).step_by(2);
    USERS.iter().zip(days).map(|(seed, day)| (user(seed, day), preferences(seed))).collect()
}

fn user(seed: &UserSeed, day: i64) -> User {
    User {
        user_id: seed.id.to_owned(),
        display_name: seed.name.to_owned(),
        email: format!("{}@mail.example", seed.id),
        phone: seed.phone.map(str::to_owned),
        status: seed.status.into(),
        address: Some(address(seed)),
        newsletter: seed.newsletter,
        loyalty_points: seed.points,
        labels: labels([("tier", seed.tier)]),
        created_at: at(day, 0),
        updated_at: at(day + 1, 5400),
    }
}

fn address(seed: &UserSeed) -> Address {
    let [street, city, postal_code, country_code] = seed.address.map(str::to_owned);
    Address { lines: vec![street], city, postal_code, country_code }
}

fn preferences(seed: &UserSeed) -> Struct {
    let country = seed.address.last().copied().unwrap_or_default();
    let attributes = [
        ("theme", Attribute::Text(seed.theme)),
        ("country", Attribute::Text(country)),
        ("itemsPerPage", Attribute::Number(24.0)),
        ("giftWrap", Attribute::Flag(false)),
    ];
    object(&attributes)
}

/// Every product. What was ordered is off the shelf already.
pub(crate) fn products() -> Vec<Product> {
    PRODUCTS.iter().zip(0..).map(|(seed, day)| product(seed, day)).collect()
}

fn product(seed: &ProductSeed, day: i64) -> Product {
    let availability = if seed.stock == 0 { Availability::SoldOut } else { Availability::InStock };
    Product {
        name: product_name(seed),
        title: seed.title.to_owned(),
        description: seed.description.to_owned(),
        price_cents: seed.price_cents,
        stock: seed.stock,
        availability: availability.into(),
        tags: seed.tags.iter().map(|&tag| tag.to_owned()).collect(),
        labels: labels([("origin", seed.origin)]),
        attributes: Some(object(seed.attributes)),
        rating: seed.rating,
        weight_kg: seed.weight_kg,
        delivery_time: Some(Duration { seconds: seed.delivery_hours * 3600, nanos: 0 }),
        picture_digest: Vec::new(),
        created_at: at(day, 0),
        updated_at: at(day, 0),
        etag: "r1".to_owned(),
    }
}

fn product_name(seed: &ProductSeed) -> String {
    format!("categories/{}/products/{}", seed.category, seed.id)
}

/// Every order.
pub(crate) fn orders() -> Vec<Order> {
    ORDERS.iter().map(order).collect()
}

fn order(seed: &OrderSeed) -> Order {
    let lines: Vec<_> = seed.lines.iter().filter_map(|&(id, quantity)| line(id, quantity)).collect();
    let history = history(seed);
    let delivered = history.iter().find(|event| event.status() == OrderStatus::Delivered);
    Order {
        order_id: seed.id.to_owned(),
        user_id: seed.user.to_owned(),
        status: seed.status.into(),
        total_cents: total_cents(&lines),
        lines,
        payment: Some(payment(seed)),
        delivery_address: USERS.iter().find(|user| user.id == seed.user).map(address),
        note: seed.note.map(str::to_owned),
        promised_within: Some(Duration { seconds: 3 * DAY, nanos: 0 }),
        created_at: at(seed.day, 0),
        delivered_at: delivered.and_then(|event| event.changed_at),
        history,
    }
}

fn line(id: &str, quantity: i32) -> Option<OrderLine> {
    let product = PRODUCTS.iter().find(|product| product.id == id)?;
    Some(OrderLine {
        product: product_name(product),
        title: product.title.to_owned(),
        quantity,
        unit_price_cents: product.price_cents,
    })
}

fn payment(seed: &OrderSeed) -> Payment {
    let method = match seed.payment {
        PaymentSeed::Card => Method::Card(Card {
            holder: USERS
                .iter()
                .find(|user| user.id == seed.user)
                .map_or_else(String::new, |user| user.name.to_owned()),
            last_four: "4242".to_owned(),
            expiry_month: 11,
            expiry_year: 2028,
        }),
        PaymentSeed::Invoice => Method::Invoice(Invoice {
            reference: format!("PO-{}", seed.id),
            due_within: Some(Duration { seconds: 14 * DAY, nanos: 0 }),
        }),
        PaymentSeed::Voucher => Method::VoucherCode("SPRING-2026".to_owned()),
    };
    Payment { method: Some(method) }
}

/// The states up to the one that was reached, six hours apart.
fn history(seed: &OrderSeed) -> Vec<OrderEvent> {
    let states: &[OrderStatus] = match seed.status {
        OrderStatus::Cancelled => &[OrderStatus::Placed, OrderStatus::Cancelled],
        _ => {
            &[OrderStatus::Placed, OrderStatus::Paid, OrderStatus::Packed, OrderStatus::Shipped, OrderStatus::Delivered]
        }
    };
    let reached = states.iter().position(|state| *state == seed.status).unwrap_or_default();
    let event = |(state, position): (&OrderStatus, i32)| OrderEvent {
        sequence: position + 1,
        order_id: seed.id.to_owned(),
        status: (*state).into(),
        changed_at: at(seed.day, i64::from(position) * 6 * 3600),
        description: describe(*state).to_owned(),
    };
    states.iter().take(reached + 1).zip(0..).map(event).collect()
}

fn at(day: i64, seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: OPENING + day * DAY + seconds, nanos: 0 })
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> BTreeMap<String, String> {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn object(attributes: &[(&str, Attribute)]) -> Struct {
    let text = |text: &str| value::Kind::StringValue(text.to_owned());
    let fields = attributes
        .iter()
        .map(|&(name, attribute)| {
            let kind = match attribute {
                Attribute::Text(content) => text(content),
                Attribute::Number(number) => value::Kind::NumberValue(number),
                Attribute::Flag(flag) => value::Kind::BoolValue(flag),
                Attribute::List(items) => value::Kind::ListValue(prost_types::ListValue {
                    values: items.iter().map(|&item| Value { kind: Some(text(item)) }).collect(),
                }),
            };
            (name.to_owned(), Value { kind: Some(kind) })
        })
        .collect();
    Struct { fields }
}
