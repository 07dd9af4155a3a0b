//! The catalog service: products, imports, quotes, pictures and the export.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::creation::created;
use super::details::Failure;
use super::export::Export;
use super::page::Page;
use super::picture;
use super::shelf::Shelf;
use crate::pb::google::api::HttpBody;
use crate::pb::shop::catalog::v1::catalog_service_server::CatalogService;
use crate::pb::shop::catalog::v1::import_products_response::Rejection;
use crate::pb::shop::catalog::v1::quote_prices_response::{self, Quote};
use crate::pb::shop::catalog::v1::{
    CreateProductRequest, DeleteProductRequest, DownloadPictureRequest, ExportProductsRequest, GetProductRequest,
    ImportProductsRequest, ImportProductsResponse, ListCategoriesResponse, ListProductsRequest, ListProductsResponse,
    Product, QuotePricesRequest, QuotePricesResponse, RestockProductRequest, UpdateProductRequest,
    UploadPictureRequest, UploadPictureResponse,
};

const MAX_REJECTIONS: usize = 100;
const MAX_QUOTED_PIECES: i32 = 1_000_000;
const QUOTE_VALID_FOR: Duration = Duration::from_secs(15 * 60);

/// The service and its state.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    shelf: Arc<Mutex<Shelf>>,
}

impl Catalog {
    /// The service with the demo's products.
    pub(crate) fn seeded() -> Self {
        Self { shelf: Arc::new(Mutex::new(Shelf::seeded())) }
    }

    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quote(&self, request: QuotePricesRequest) -> QuotePricesResponse {
        let QuotePricesRequest { product, quantity } = request;
        let result = match self.price(&product, quantity) {
            Ok(quote) => quote_prices_response::Result::Quote(quote),
            Err(failure) => quote_prices_response::Result::Error(failure.into_message()),
        };
        QuotePricesResponse { product, result: Some(result) }
    }

    fn price(&self, product: &str, quantity: i32) -> Result<Quote, Failure> {
        let quantity = if quantity == 0 { 1 } else { quantity };
        if !(1..=MAX_QUOTED_PIECES).contains(&quantity) {
            let description = format!("a quote is for 1 to {MAX_QUOTED_PIECES} pieces");
            return Err(Failure::invalid("quantity", "OUT_OF_RANGE", description));
        }
        let unit_price_cents = self.shelf().find(product)?.price_cents;
        let discount: u8 = match quantity {
            ..10 => 0,
            10..100 => 5,
            _ => 12,
        };
        Ok(Quote {
            quantity,
            unit_price_cents,
            discount_percent: discount.into(),
            total_cents: unit_price_cents * i64::from(quantity) * i64::from(100 - discount) / 100,
            valid_for: prost_types::Duration::try_from(QUOTE_VALID_FOR).ok(),
        })
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn list_categories(&self, _: Request<()>) -> Result<Response<ListCategoriesResponse>, Status> {
        Ok(Response::new(ListCategoriesResponse { categories: self.shelf().categories() }))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let Page { items, next_token, total } = self.shelf().list(request.get_ref())?;
        Ok(Response::new(ListProductsResponse { products: items, next_page_token: next_token, total_size: total }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        Ok(Response::new(self.shelf().find(&request.get_ref().name)?.clone()))
    }

    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<Product>, Status> {
        let CreateProductRequest { parent, product_id, product } = request.into_inner();
        let product = self.shelf().create(&parent, &product_id, product.unwrap_or_default())?;
        let location = format!("/v1/{}", product.name);
        Ok(created(product, &location))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Result<Response<Product>, Status> {
        Ok(Response::new(self.shelf().update(request.into_inner())?))
    }

    async fn delete_product(&self, request: Request<DeleteProductRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(self.shelf().delete(&request.get_ref().name)?))
    }

    async fn restock_product(&self, request: Request<RestockProductRequest>) -> Result<Response<Product>, Status> {
        Ok(Response::new(self.shelf().restock(request.get_ref())?))
    }

    async fn import_products(
        &self,
        request: Request<Streaming<ImportProductsRequest>>,
    ) -> Result<Response<ImportProductsResponse>, Status> {
        let start = Instant::now();
        let mut stream = request.into_inner();
        let mut summary = ImportProductsResponse::default();
        let mut parent = String::new();
        while let Some(item) = stream.message().await? {
            if !item.parent.is_empty() {
                parent = item.parent;
            }
            match self.shelf().create(&parent, &item.product_id, item.product.unwrap_or_default()) {
                Ok(_) => summary.imported_count += 1,
                Err(failure) if summary.rejections.len() < MAX_REJECTIONS => {
                    let status = Some(failure.into_message());
                    summary.rejections.push(Rejection { index: summary.received_count, status });
                }
                // The counts tell of those that the list has no room for.
                Err(_) => {}
            }
            summary.received_count = summary.received_count.saturating_add(1);
        }
        summary.elapsed = prost_types::Duration::try_from(start.elapsed()).ok();
        Ok(Response::new(summary))
    }

    type QuotePricesStream = BoxStream<QuotePricesResponse>;

    async fn quote_prices(
        &self,
        request: Request<Streaming<QuotePricesRequest>>,
    ) -> Result<Response<Self::QuotePricesStream>, Status> {
        let catalog = self.clone();
        let quotes = request.into_inner().map(move |question| Ok(catalog.quote(question?)));
        Ok(Response::new(Box::pin(quotes)))
    }

    async fn download_picture(&self, request: Request<DownloadPictureRequest>) -> Result<Response<HttpBody>, Status> {
        let shelf = self.shelf();
        let product = shelf.find(&request.get_ref().name)?;
        let picture = shelf.picture(&product.name).cloned().unwrap_or_else(|| picture::draw(product));
        Ok(Response::new(picture))
    }

    async fn upload_picture(
        &self,
        request: Request<UploadPictureRequest>,
    ) -> Result<Response<UploadPictureResponse>, Status> {
        let UploadPictureRequest { name, picture } = request.into_inner();
        let picture = picture::check(picture.unwrap_or_default())?;
        let content_type = picture.content_type.clone();
        let size_bytes = i64::try_from(picture.data.len()).unwrap_or(i64::MAX);
        let digest = self.shelf().set_picture(&name, picture)?;
        Ok(Response::new(UploadPictureResponse { name, content_type, size_bytes, digest }))
    }

    type ExportProductsStream = BoxStream<HttpBody>;

    async fn export_products(
        &self,
        request: Request<ExportProductsRequest>,
    ) -> Result<Response<Self::ExportProductsStream>, Status> {
        let export = Export::new(self.shelf().products(), request.get_ref().min_size_bytes)?;
        Ok(Response::new(Box::pin(futures_util::stream::iter(export.map(Ok)))))
    }
}
