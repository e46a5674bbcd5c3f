import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import java.io.File;
import java.time.Instant;
import java.util.Date;

/** Validates a PDF offline: {@code eu-dss FILE ROOT [TIME...]}. One line a time: indication, sub-indication, format. */
public final class Validate {
    private Validate() {}

    public static void main(String[] arguments) {
        CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
        trusted.addCertificate(DSSUtils.loadCertificate(new File(arguments[1])));
        for (int at = 2; at < Math.max(arguments.length, 3); at++) {
            CommonCertificateVerifier verifier = new CommonCertificateVerifier();
            verifier.setTrustedCertSources(trusted);
            verifier.setAIASource(null);
            verifier.setCrlSource(null);
            verifier.setOcspSource(null);
            SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(arguments[0]));
            validator.setCertificateVerifier(verifier);
            if (at < arguments.length) {
                validator.setValidationTime(Date.from(Instant.parse(arguments[at])));
            }
            SimpleReport report = validator.validateDocument().getSimpleReport();
            for (String id : report.getSignatureIdList()) {
                System.out.println(report.getIndication(id) + " " + report.getSubIndication(id) + " "
                        + report.getSignatureFormat(id));
            }
        }
    }
}
