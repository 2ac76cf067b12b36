// SPDX-License-Identifier: MIT
/*
 * A throw-away certificate authority for tests, through OpenSSL's API, so that tests run without
 * the openssl command and make exactly the wrong certificates that they need.
 */

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/unit/support/test-certificates.h"

#define PATH_CHARS 512

struct test_ca {
	char directory[PATH_CHARS / 2], name[64];
	EVP_PKEY *key;
	X509 *certificate;
	long serial;
};

static void *must(void *pointer, const char *what)
{
	if (pointer)
		return pointer;
	fprintf(stderr, "test certificates: %s failed\n", what);
	abort();
}

static FILE *create(const char *directory, const char *file, const char *suffix)
{
	char path[PATH_CHARS];

	snprintf(path, sizeof(path), "%s/%s%s", directory, file, suffix);
	return must(fopen(path, "we"), path);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = must(X509V3_EXT_conf_nid(NULL, &context, nid, value), "extension");
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

static X509 *new_certificate(struct test_ca *ca, EVP_PKEY *key, const char *const *common_names)
{
	X509 *certificate = must(X509_new(), "X509_new");
	X509_NAME *subject = X509_get_subject_name(certificate);

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++ca->serial);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_NAME_add_entry_by_NID(subject, NID_organizationName, MBSTRING_ASC,
				   (const unsigned char *)"test", -1, -1, 0);
	for (; *common_names; common_names++)
		X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
					   (const unsigned char *)*common_names, -1, -1, 0);
	X509_set_pubkey(certificate, key);
	X509_set_issuer_name(certificate,
			     ca->certificate ? X509_get_subject_name(ca->certificate) : subject);
	return certificate;
}

struct test_ca *test_ca_new(const char *directory, const char *name)
{
	struct test_ca *ca = must(calloc(1, sizeof(*ca)), "calloc");
	X509 *certificate;
	FILE *file;

	snprintf(ca->directory, sizeof(ca->directory), "%s", directory);
	snprintf(ca->name, sizeof(ca->name), "%s", name);
	ca->key = must(EVP_EC_gen("P-256"), "EVP_EC_gen");
	certificate = new_certificate(ca, ca->key, (const char *[]){name, NULL});
	add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign");
	X509_sign(certificate, ca->key, EVP_sha256());
	ca->certificate = certificate;
	file = create(directory, name, "-ca.pem");
	PEM_write_X509(file, certificate);
	fclose(file);
	return ca;
}

struct test_ca *test_ca_free(struct test_ca *ca)
{
	if (!ca)
		return NULL;
	X509_free(ca->certificate);
	EVP_PKEY_free(ca->key);
	free(ca);
	return NULL;
}

void test_ca_issue_names(struct test_ca *ca, const char *file, const char *const *common_names)
{
	EVP_PKEY *key = must(EVP_EC_gen("P-256"), "EVP_EC_gen");
	X509 *certificate = new_certificate(ca, key, common_names);
	FILE *stream;

	X509_sign(certificate, ca->key, EVP_sha256());
	stream = create(ca->directory, file, ".pem");
	PEM_write_X509(stream, certificate);
	fclose(stream);
	stream = create(ca->directory, file, ".key");
	PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL);
	fclose(stream);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void test_ca_issue(struct test_ca *ca, const char *name)
{
	test_ca_issue_names(ca, name, (const char *[]){name, NULL});
}

const char *test_ca_directory(const struct test_ca *ca)
{
	return ca->directory;
}

struct channel_identity *test_ca_identity(struct test_ca *ca, const char *file,
					  struct test_ca *trusted)
{
	char ca_file[PATH_CHARS], certificate_file[PATH_CHARS], key_file[PATH_CHARS];
	struct channel_identity *identity = NULL;
	char *what = NULL;

	snprintf(ca_file, sizeof(ca_file), "%s/%s-ca.pem", trusted->directory, trusted->name);
	snprintf(certificate_file, sizeof(certificate_file), "%s/%s.pem", ca->directory, file);
	snprintf(key_file, sizeof(key_file), "%s/%s.key", ca->directory, file);
	channel_identity_new(ca_file, certificate_file, key_file, &what, &identity);
	return must(identity, what ?: "identity");
}
